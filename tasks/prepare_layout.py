"""A prepared dataset on disk: what lies where, and one record per clip that says what its files must be.

The record is written last, so a clip without one is a clip to be made. Paths in it are relative: the dataset may move.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from propainter.core.errors import OutputError

SCHEMA = 1
DATASET = "dataset.json"
RECORDS = "clips"
FRAMES_STAGE = "training_frames"
FLOW_STAGE = "estimate_flow"

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFiles:
    """The record of one prepared clip.

    stamp, source_digest: of the source's files and content. content_digest: of the frames as they were written, which
    is what their flow depends on. files: digests by path below the dataset.
    """

    name: str
    split: Split
    frames: int
    stamp: str
    source_digest: str
    content_digest: str
    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Of everything that was made for this clip."""
        return digest_bytes(json.dumps(self.files, sort_keys=True).encode())

    def strays(self, out: Path) -> Iterator[str]:
        """Files in the clip's folders that are none of its own, and those that it lacks."""
        folders = sorted({(out / path).parent for path in self.files})
        there = {path.relative_to(out).as_posix() for folder in folders if folder.is_dir() for path in folder.iterdir()}
        yield from sorted(there ^ self.files.keys())


def digest_bytes(content: bytes) -> str:
    return blake2b(content, digest_size=20).hexdigest()


def masks_folder(split: Split) -> str:
    return f"{split}_masks"


def record_path(out: Path, name: str) -> Path:
    return out / RECORDS / f"{name}.json"


def write_record(out: Path, record: ClipFiles) -> None:
    write_json(record_path(out, record.name), asdict(record))


def read_record(out: Path, name: str) -> ClipFiles | None:
    """None where there is none, or none that can be read."""
    with suppress(TypeError):
        return ClipFiles(**(read_json(record_path(out, name)) or {}))
    return None


def read_records(out: Path) -> Iterator[ClipFiles]:
    """All of them, by name."""
    for path in sorted((out / RECORDS).glob("*.json")):
        record = read_record(out, path.stem)
        if record is not None:
            yield record


def split_lists(records: Mapping[str, ClipFiles]) -> dict[Split, dict[str, int]]:
    """What train.json and test.json hold: clips, and how many frames they have."""
    return {
        split: {name: record.frames for name, record in records.items() if record.split == split} for split in SPLITS
    }


def write_json(path: Path, content: object) -> None:
    """Whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    partial = path.with_name(f".{uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise OutputError(f"{path} cannot be written ({error.strerror}). Mend that, and run again to go on.") from error


def read_json(path: Path) -> dict[str, Any] | None:
    """None where there is no such object."""
    with suppress(OSError, ValueError):
        content = json.loads(path.read_bytes())
        return content if isinstance(content, dict) else None
    return None


def read_dataset(out: Path) -> dict[str, Any]:
    """dataset.json.

    Raises:
        OutputError: it is not there, or not one of ours.
    """
    content = read_json(out / DATASET)
    if content is None or content.get("schema") != SCHEMA:
        raise OutputError(f"{out} holds no {DATASET} of `propainter prepare`. Give the folder of a prepared dataset.")
    return content


def store_root(out: Path, dataset: Mapping[str, Any]) -> Path:
    """Where the dataset's frames and flow are stored: below it, or elsewhere."""
    return out / str(dataset["store"])
