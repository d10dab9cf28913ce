"""Whether a prepared dataset still is what was made: every file against its digest, every list against the records."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cache.entry import read_key, read_spec
from cache.layout import entry_folder, segment_name
from cache.store import Store
from propainter.core.errors import StoreError
from tasks.prepare_layout import (
    DATASET,
    FLOW_STAGE,
    FRAMES_STAGE,
    ClipFiles,
    digest_bytes,
    read_dataset,
    read_json,
    read_record,
    record_path,
    split_lists,
    store_root,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a dataset."""

    what: str
    reason: str


def verify_dataset(out: Path) -> tuple[Fault, ...]:
    """Check everything, and see to it that the next run makes anew what is wrong.

    A clip with a wrong file loses its record; a broken segment goes to its store's .quarantine.

    Raises:
        OutputError: there is no prepared dataset in out.
    """
    dataset = read_dataset(out)
    faults: list[Fault] = []
    records: dict[str, ClipFiles] = {}
    for name, listed in dataset["clips"].items():
        record = read_record(out, name)
        if record is None:
            faults.append(Fault(what=name, reason="Its record is lost."))
            continue
        records[name] = record
        wrong = list(_wrong_files(out, record))
        if record.digest != listed["digest"]:
            wrong.append(Fault(what=name, reason=f"Its record is not the one that {DATASET} lists."))
        if wrong:
            record_path(out, name).unlink()
        faults += [*wrong, *_wrong_entries(out, dataset, listed)]
    for split, clips in split_lists(records).items():
        if read_json(out / f"{split}.json") != clips:
            faults.append(Fault(what=f"{split}.json", reason="It does not list the clips that there are."))
    return tuple(faults)


def _wrong_files(out: Path, record: ClipFiles) -> Iterator[Fault]:
    for path in record.strays(out):
        yield Fault(what=path, reason="It is none of the clip's." if (out / path).exists() else "It is not there.")
    for path, digest in record.files.items():
        if (out / path).is_file():
            try:
                content = (out / path).read_bytes()
            except OSError as error:
                yield Fault(what=path, reason=f"It cannot be read ({error.strerror}).")
                continue
            if digest_bytes(content) != digest:
                yield Fault(what=path, reason="Its content is not what was written.")


def _wrong_entries(out: Path, dataset: dict[str, Any], listed: dict[str, Any]) -> Iterator[Fault]:
    root = store_root(out, dataset)
    store = Store(root)
    for stage in (FRAMES_STAGE, FLOW_STAGE):
        folder = entry_folder(root, stage, listed[stage])
        try:
            key = read_key(folder)
            spec = read_spec(folder, key)
        except StoreError as error:
            yield Fault(what=str(folder), reason=str(error))
            continue
        assert spec is not None
        for segment in range(spec.segments):
            try:
                store.read(key, spec.segment(segment))
            except StoreError as error:
                yield Fault(what=str(folder / segment_name(spec, segment)), reason=str(error))
