"""Upkeep of a cache: what is in it, whether it is still whole, and what is never to go.

An entry without a manifest counts as incomplete whatever it holds. Nothing here is needed for a run to be right; all of
it may be done while runs are going on.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cache.contents import Entry, entries_in, folders, require_cache
from cache.entry import Listed, occupied, read_key, read_manifest, read_spec
from cache.layout import HEADER, MANIFEST, PINNED, RECIPE, segment_name
from cache.publish import disk_errors, repair_lock, set_aside
from cache.shards import look
from cache.store import Store
from propainter.core.errors import MissingSegmentError, StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTotal:
    """All entries of one stage; size_bytes counts a shared segment once for each."""

    stage: str
    entries: int
    incomplete: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A file or folder that was found bad, and moved to .quarantine."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was looked at, and what of it was bad."""

    entries: int
    segments: int
    faults: tuple[Fault, ...]


def list_entries(root: Path) -> tuple[Entry, ...]:
    """Every entry, the one used last first.

    Raises:
        StoreError: there is no cache in root; as for all that follows.
    """
    require_cache(root)
    return tuple(sorted(entries_in(root), key=lambda entry: -entry.last_used_s))


def stat(root: Path) -> tuple[StageTotal, ...]:
    """One line per stage, by name."""
    require_cache(root)
    entries = list(entries_in(root))
    return tuple(
        StageTotal(
            stage=stage,
            entries=sum(entry.stage == stage for entry in entries),
            incomplete=sum(entry.stage == stage and not entry.complete for entry in entries),
            size_bytes=sum(entry.size_bytes for entry in entries if entry.stage == stage),
        )
        for stage in sorted({entry.stage for entry in entries})
    )


def verify(root: Path, *, quick: bool) -> Verification:
    """Look at every committed segment; move what is bad to .quarantine, so that the next run computes it anew.

    Args:
        quick: the end of each file only (a shard's index), not every checksum in it.
    """
    require_cache(root)
    store = Store(root)
    faults: list[Fault] = []
    entries = segments = 0
    sound: set[int] = set()  # inodes: a file that several entries share is read once
    for folder in list(folders(root)):
        entries += 1
        try:
            key = read_key(folder)
            spec = read_spec(folder, key)
        except MissingSegmentError:
            faults += _set_aside_if_unbelievable(root, folder)
            continue
        listed = {item.segment: item for item in read_manifest(folder) or ()}
        for index in range(len(key.segments)):
            path = folder / segment_name(spec, index)
            frames = 1 if spec is None else len(spec.segment(index))
            found = look(path, spec, frames)
            if found and not (found.fault or quick or found.inode in sound):
                found = look(path, spec, frames, content=True)
            if found is None:
                if index in listed and folder.exists():  # else gc took the entry away meanwhile
                    with repair_lock(root):
                        set_aside(root, folder / MANIFEST)
                    faults.append(Fault(path=path, reason="its manifest lists it, and it is not there"))
                continue
            segments += 1
            fault = found.fault
            if fault is None:
                sound.add(found.inode)
                if listed.get(index) not in (None, Listed.of(index, found)):
                    fault = "it is not the file that its manifest lists"
            if fault:
                store.quarantine(key, spec, index, found.inode)
                faults.append(Fault(path=path, reason=fault))
    return Verification(entries=entries, segments=segments, faults=tuple(faults))


def pin(root: Path, digest: str) -> Entry:
    """Keep an entry until it is unpinned.

    Args:
        digest: the entry's, or as much of its beginning as names one entry only.

    Raises:
        StoreError: no entry, or several, are called that.
    """
    entry = _the_entry(root, digest)
    with disk_errors(root):
        (entry.path / PINNED).touch()
    return entry


def unpin(root: Path, digest: str) -> Entry:
    """Let gc have an entry again. Arguments and errors as `pin`."""
    entry = _the_entry(root, digest)
    with disk_errors(root):
        (entry.path / PINNED).unlink(missing_ok=True)
    return entry


def _the_entry(root: Path, digest: str) -> Entry:
    require_cache(root)
    found = [entry for entry in entries_in(root) if digest and entry.digest.startswith(digest)]
    if len(found) != 1:
        raise StoreError(
            f"{len(found)} entries in {root} begin with {digest!r}. Give one as propainter cache ls has it."
        )
    return found[0]


def _set_aside_if_unbelievable(root: Path, folder: Path) -> list[Fault]:
    # Read again: an entry that is being made has no segments yet, and one may have been put right, or gone, meanwhile.
    with repair_lock(root), suppress(FileNotFoundError):
        if not occupied(folder):
            return []
        try:
            read_spec(folder, read_key(folder))
        except MissingSegmentError:
            if set_aside(root, folder):
                return [Fault(path=folder, reason=f"its {HEADER} or {RECIPE} is missing or not its own")]
    return []
