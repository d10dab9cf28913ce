"""Upkeep of a cache: what is in it, whether it is still whole, what may go, and whether there is room for more.

An entry without a manifest counts as incomplete whatever it holds. Nothing here is needed for a run to be right; all of
it may be done while runs are going on.
"""

import fcntl
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from cache.entry import Listed, occupied, read_key, read_manifest, read_spec
from cache.layout import (
    HEADER,
    MANIFEST,
    PINNED,
    RECIPE,
    entry_folder,
    lease_file,
    segment_name,
    version_folder,
)
from cache.publish import disk_errors, locked, repair_lock, set_aside
from cache.shards import look
from cache.store import Store
from propainter.core.errors import DiskFullError, MissingSegmentError, StoreError

_STRAY_S = 24 * 3600
"""After this, a temporary file has no writer any more, and a lease on an entry that never came is given up."""

_EVIDENCE_S = 7 * 24 * 3600
"""For so long, what was found broken may still be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One stage's result for one key. segments: None where it is incomplete; size_bytes: of those that are there."""

    stage: str
    digest: str
    path: Path
    segments: int | None
    size_bytes: int
    pinned: bool
    last_used_s: float
    """Seconds since the epoch."""

    @property
    def complete(self) -> bool:
        return self.segments is not None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What gc removed and kept. in_use: entries that were due but pinned or leased."""

    removed: tuple[Entry, ...]
    in_use: tuple[Entry, ...]
    freed_bytes: int
    kept_bytes: int


def list_entries(root: Path) -> tuple[Entry, ...]:
    """Every entry, the one used last first.

    Raises:
        StoreError: there is no cache in root; as for all that follows but room, used_bytes and require_room.
    """
    _require_cache(root)
    return tuple(sorted(_entries(root), key=lambda entry: -entry.last_used_s))


def stat(root: Path) -> tuple[StageTotal, ...]:
    """One line per stage, by name."""
    _require_cache(root)
    entries = list(_entries(root))
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
    _require_cache(root)
    store = Store(root)
    faults: list[Fault] = []
    entries = segments = 0
    sound: set[int] = set()  # inodes: a file that several entries share is read once
    for folder in list(_folders(root)):
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


def gc(root: Path, *, max_bytes: int | None = None, max_age_s: float | None = None) -> Collected:
    """Remove whole entries, those used longest ago first, until the rest is within these limits.

    Pinned entries and those that a run holds a lease on stay. Strays of killed processes are swept as well.

    Args:
        max_bytes: what may stay; a segment that several entries share counts once. None: any size.
        max_age_s: since an entry was last used. None: any age.
    """
    _require_cache(root)
    removed, in_use = [], []
    with disk_errors(Store(root).root):
        _sweep(root)
        freed_bytes = _sweep_pool(root)
        entries = sorted(_entries(root), key=lambda entry: entry.last_used_s)
        sizes = {entry.path: _sizes(entry.path) for entry in entries}
        holders = Counter(inode for files in sizes.values() for inode in files)
        kept_bytes = _unique_bytes(sizes.values())
        for entry in entries:
            old = max_age_s is not None and time.time() - entry.last_used_s > max_age_s
            if not old and (max_bytes is None or kept_bytes <= max_bytes):
                continue
            fate = "in use" if entry.pinned else _trash(root, entry)
            if fate == "in use":
                in_use.append(entry)
                continue
            holders.subtract(sizes[entry.path].keys())
            alone_bytes = sum(size for inode, size in sizes[entry.path].items() if holders[inode] == 0)
            kept_bytes -= alone_bytes
            if fate == "moved":
                removed.append(entry)
                freed_bytes += alone_bytes
        for path in (root / ".trash").iterdir():
            shutil.rmtree(path, ignore_errors=True)
        _sweep_pool(root)
    return Collected(removed=tuple(removed), in_use=tuple(in_use), freed_bytes=freed_bytes, kept_bytes=kept_bytes)


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


def room(root: Path) -> int:
    """Bytes free on the disk that holds root, which need not exist yet."""
    existing = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    return shutil.disk_usage(existing).free


def used_bytes(root: Path) -> int:
    """What the segments in the cache take, in an entry or in the pool alone; a shared one counted once."""
    pooled = {status.st_ino: status.st_size for status in _pooled(root).values()}
    return _unique_bytes([pooled, *map(_sizes, _folders(root))])


def require_room(root: Path, needed_bytes: int, cap_bytes: int | None) -> None:
    """Refuse, before it starts, a run that will not fit.

    Args:
        needed_bytes: what the run will add.
        cap_bytes: what the whole cache may take; None: what the disk has.

    Raises:
        StoreError: over the cap.
        DiskFullError: over what is free on the disk.
    """
    if needed_bytes == 0:
        return
    held_bytes = used_bytes(root)
    if cap_bytes is not None and held_bytes + needed_bytes > cap_bytes:
        raise StoreError(
            f"this run adds {_gb(needed_bytes)} to the {_gb(held_bytes)} in {root}, over the cache size of "
            f"{_gb(cap_bytes)}. Free some with propainter cache gc, or raise --cache-size."
        )
    if needed_bytes > room(root):
        raise DiskFullError(
            f"this run needs {_gb(needed_bytes)} of cache, and {root} has {_gb(room(root))} free. "
            "Free some, or give another place with --cache DIR."
        )


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.3g} GB"


def _folders(root: Path) -> Iterator[Path]:
    return (path for path in version_folder(root).glob("[!.]*/*/*") if path.is_dir())


def _entries(root: Path) -> Iterator[Entry]:
    for folder in _folders(root):
        stage, digest = folder.parent.parent.name, folder.name
        listed = read_manifest(folder)
        used = lease_file(root, stage, digest)
        with suppress(FileNotFoundError):
            yield Entry(
                stage=stage,
                digest=digest,
                path=folder,
                segments=None if listed is None else len(listed),
                size_bytes=sum(_sizes(folder).values()),
                pinned=(folder / PINNED).exists(),
                last_used_s=(used if used.exists() else folder).stat().st_mtime,
            )


def _require_cache(root: Path) -> None:
    if not version_folder(root).is_dir():
        raise StoreError(f"there is no cache in {root}. Give the folder of one with --cache DIR.")


def _the_entry(root: Path, digest: str) -> Entry:
    _require_cache(root)
    found = [entry for entry in _entries(root) if digest and entry.digest.startswith(digest)]
    if len(found) != 1:
        raise StoreError(
            f"{len(found)} entries in {root} begin with {digest!r}. Give one as propainter cache ls has it."
        )
    return found[0]


def _sizes(folder: Path) -> dict[int, int]:
    """Inode and bytes of every segment's file in an entry."""
    sizes = {}
    with suppress(FileNotFoundError):
        for path in folder.glob("[bc].*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                sizes[status.st_ino] = status.st_size
    return sizes


def _unique_bytes(entries: Iterable[dict[int, int]]) -> int:
    return sum({inode: size for files in entries for inode, size in files.items()}.values())


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


def _trash(root: Path, entry: Entry) -> Literal["moved", "in use", "gone"]:
    """Take an entry out of the cache; "gone": another gc was first."""
    lock = lease_file(root, entry.stage, entry.digest)
    descriptor = locked(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if descriptor is None:
        return "in use"
    try:
        entry.path.rename(root / ".trash" / f"{entry.digest}-{uuid4().hex[:8]}")
        lock.unlink()
        return "moved"
    except FileNotFoundError:
        lock.unlink()
        return "gone"
    finally:
        os.close(descriptor)


def _pooled(root: Path) -> dict[Path, os.stat_result]:
    pooled = {}
    for path in version_folder(root).glob(".segments/*/*/*"):
        with suppress(FileNotFoundError):
            pooled[path] = path.stat()
    return pooled


def _sweep_pool(root: Path) -> int:
    """Remove the pool's names for segments that are in no entry. Returns the bytes of those with no other name.

    By the entries and not by the number of links: what lies in .quarantine or .tmp has links too. The pool is listed
    first, because a segment is in its entry before it is in the pool. One that is adopted meanwhile loses its name
    here, and nothing else.
    """
    freed_bytes = 0
    pooled = _pooled(root)
    held = {inode for folder in _folders(root) for inode in _sizes(folder)}
    for path, status in pooled.items():
        if status.st_ino not in held:
            with suppress(FileNotFoundError):  # another gc was first
                path.unlink()
                freed_bytes += status.st_size if status.st_nlink == 1 else 0
    return freed_bytes


def _sweep(root: Path) -> None:
    now_s = time.time()
    for folder, keep_s in ((root / ".tmp", _STRAY_S), (root / ".quarantine", _EVIDENCE_S)):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                if now_s - path.stat().st_ctime > keep_s:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    for lease in (root / ".lease").glob("[!.]*"):
        stage, _, digest = lease.name.rpartition("-")
        with suppress(FileNotFoundError):
            if now_s - lease.stat().st_mtime > _STRAY_S and not entry_folder(root, stage, digest).exists():
                descriptor = locked(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if descriptor is not None:
                    lease.unlink()
                    os.close(descriptor)
