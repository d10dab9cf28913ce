"""What is in a cache now, told from its files alone: entries, the segments in them, and those in the pool."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from os import stat_result
from pathlib import Path

from cache.entry import read_manifest
from cache.layout import PINNED, lease_file, version_folder
from propainter.core.errors import StoreError


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


def require_cache(root: Path) -> None:
    """
    Raises:
        StoreError: there is no cache in root.
    """
    if not version_folder(root).is_dir():
        raise StoreError(f"there is no cache in {root}. Give the folder of one with --cache DIR.")


def folders(root: Path) -> Iterator[Path]:
    """Of all entries, finished or not."""
    return (path for path in version_folder(root).glob("[!.]*/*/*") if path.is_dir())


def entries_in(root: Path) -> Iterator[Entry]:
    """In no order; one that goes away meanwhile is left out."""
    for folder in folders(root):
        stage, digest = folder.parent.parent.name, folder.name
        listed = read_manifest(folder)
        used = lease_file(root, stage, digest)
        with suppress(FileNotFoundError):
            yield Entry(
                stage=stage,
                digest=digest,
                path=folder,
                segments=None if listed is None else len(listed),
                size_bytes=sum(segment_sizes(folder).values()),
                pinned=(folder / PINNED).exists(),
                last_used_s=(used if used.exists() else folder).stat().st_mtime,
            )


def segment_sizes(folder: Path) -> dict[int, int]:
    """Inode and bytes of every segment's file in an entry."""
    sizes = {}
    with suppress(FileNotFoundError):
        for path in folder.glob("[bc].*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                sizes[status.st_ino] = status.st_size
    return sizes


def unique_bytes(entries: Iterable[dict[int, int]]) -> int:
    """Of sizes by inode; a file that several entries share counts once."""
    return sum({inode: size for files in entries for inode, size in files.items()}.values())


def pooled_segments(root: Path) -> dict[Path, stat_result]:
    """By their names in the pool, whatever entries they are in."""
    pooled = {}
    for path in version_folder(root).glob(".segments/*/*/*"):
        with suppress(FileNotFoundError):
            pooled[path] = path.stat()
    return pooled
