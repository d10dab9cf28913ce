"""What may go from a cache, and its going: whole entries, those used longest ago first, and what killed processes left.

May be done while runs are going on.
"""

import os
import shutil
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from cache.contents import Entry, entries_in, folders, pooled_segments, require_cache, segment_sizes, unique_bytes
from cache.layout import entry_folder, lease_file
from cache.publish import disk_errors
from cache.store import Store
from propainter.core.locks import try_lock

_STRAY_S = 24 * 3600
"""After this, a temporary file has no writer any more, and a lease on an entry that never came is given up."""

_EVIDENCE_S = 7 * 24 * 3600
"""For so long, what was found broken may still be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What gc removed and kept. in_use: entries that were due but pinned or leased."""

    removed: tuple[Entry, ...]
    in_use: tuple[Entry, ...]
    freed_bytes: int
    kept_bytes: int


def gc(root: Path, *, max_bytes: int | None = None, max_age_s: float | None = None) -> Collected:
    """Remove whole entries, those used longest ago first, until the rest is within these limits.

    Pinned entries and those that a run holds a lease on stay. Strays of killed processes are swept as well.

    Args:
        max_bytes: what may stay; a segment that several entries share counts once. None: any size.
        max_age_s: since an entry was last used. None: any age.
    """
    require_cache(root)
    removed, in_use = [], []
    with disk_errors(Store(root).root):
        _sweep(root)
        freed_bytes = _sweep_pool(root)
        entries = sorted(entries_in(root), key=lambda entry: entry.last_used_s)
        sizes = {entry.path: segment_sizes(entry.path) for entry in entries}
        holders = Counter(inode for files in sizes.values() for inode in files)
        kept_bytes = unique_bytes(sizes.values())
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


def _trash(root: Path, entry: Entry) -> Literal["moved", "in use", "gone"]:
    """Take an entry out of the cache; "gone": another gc was first."""
    lock = lease_file(root, entry.stage, entry.digest)
    descriptor = try_lock(lock)
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


def _sweep_pool(root: Path) -> int:
    """Remove the pool's names for segments that are in no entry. Returns the bytes of those with no other name.

    By the entries and not by the number of links: what lies in .quarantine or .tmp has links too. The pool is listed
    first, because a segment is in its entry before it is in the pool. One that is adopted meanwhile loses its name
    here, and nothing else.
    """
    freed_bytes = 0
    pooled = pooled_segments(root)
    held = {inode for folder in folders(root) for inode in segment_sizes(folder)}
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
                descriptor = try_lock(lease)
                if descriptor is not None:
                    lease.unlink()
                    os.close(descriptor)
