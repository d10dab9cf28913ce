"""What is known of the clips of a dataset, so that a clip that has not changed is not read again.

One small file per dataset in the cache. It spares work and nothing else: one that is lost or broken is made anew from
the clips. Several runs may write it; each keeps what the others learned.
"""

import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

import google_crc32c

from cache.publish import disk_errors, make_folder, replace
from propainter.core.locks import lock

_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRecord:
    """One clip, as it was when it was read.

    stamp: of its files, in the words of who took it; "" fits no file. fault: why it has no flow, None: none known.
    exact: its flow outgrew the compact type. flow: the entry of estimate_flow that the last run left for it.
    """

    stamp: str
    content_digest: str = ""
    frames: int = 0
    height_px: int = 0
    width_px: int = 0
    fault: str | None = None
    exact: bool = False
    flow: str | None = None


class DatasetIndex:
    """The records of one dataset's clips, by name."""

    def __init__(self, root: Path, dataset: Path) -> None:
        """root: the cache, which is there already."""
        self._root = root
        name = blake2b(os.fsencode(dataset.resolve()), digest_size=10).hexdigest()
        self.path = root / "datasets" / f"{name}.json"
        self._dataset = str(dataset.resolve())

    def load(self) -> dict[str, ClipRecord]:
        """Empty where there is no index, or none that can be believed."""
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            held = json.loads(self.path.read_bytes())
            if held["schema"] == _SCHEMA and held["crc32c"] == _crc32c(held["clips"]):
                return {name: ClipRecord(**fields) for name, fields in held["clips"].items()}
        return {}

    def update(self, learned: Mapping[str, ClipRecord], gone: Collection[str] = ()) -> None:
        """Put these records in, take those of `gone` out, and leave the others as they are on the disk now.

        Raises:
            DiskFullError, StoreError: it cannot be written.
        """
        with disk_errors(self._root):
            make_folder(self.path.parent)
            descriptor = lock(self._root / ".lease" / ".datasets")
            try:
                records = {**self.load(), **learned}
                clips = {name: asdict(record) for name, record in sorted(records.items()) if name not in gone}
                held = {"schema": _SCHEMA, "dataset": self._dataset, "crc32c": _crc32c(clips), "clips": clips}
                replace(self._root, self.path, json.dumps(held).encode())
            finally:
                os.close(descriptor)


def _crc32c(clips: object) -> int:
    checksum: int = google_crc32c.value(json.dumps(clips, sort_keys=True).encode())
    return checksum
