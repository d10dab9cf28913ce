"""Room for results: what a cache takes, what its disk has left, and the refusal of a run that will not fit."""

import shutil
from pathlib import Path

from cache.contents import folders, pooled_segments, segment_sizes, unique_bytes
from propainter.core.errors import DiskFullError, StoreError


def room(root: Path) -> int:
    """Bytes free on the disk that holds root, which need not exist yet."""
    existing = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    return shutil.disk_usage(existing).free


def used_bytes(root: Path) -> int:
    """What the segments in the cache take, in an entry or in the pool alone; a shared one counted once."""
    pooled = {status.st_ino: status.st_size for status in pooled_segments(root).values()}
    return unique_bytes([pooled, *map(segment_sizes, folders(root))])


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
