"""How a file becomes part of the cache, whole or not at all, and how a bad one leaves it.

Publishing is: write under .tmp, fsync, link() to the final name (which fails if that exists: then another was first),
unlink, fsync the folder. Killed at any step, it leaves a stray file in .tmp and nothing else. Where links are not
supported, rename under a lock.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from propainter.core.errors import DiskFullError, StoreError
from propainter.core.locks import lock

FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


@contextmanager
def disk_errors(root: Path) -> Iterator[None]:
    """Say an operating system's refusal in our words."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFullError(
                f"no space left for the cache in {root}. Free some (propainter cache gc does) or give another place "
                "with --cache DIR; the same command then goes on where it was."
            ) from error
        raise StoreError(
            f"the cache {root} cannot be used: {error.strerror} ({error.filename}). "
            "Give another place with --cache DIR."
        ) from error


def make_folder(folder: Path) -> None:
    """Create a folder and its parents so that they outlast a loss of power."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    fsync_folder(folder.parent)


def fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(root: Path, path: Path, pieces: Iterable[bytes], *, pool: Path | None = None) -> bool:
    """Give path its content, once. False: it had one already, and that one stays.

    Args:
        pieces: of the content, one after the other.
        pool: a second name for the same file, where links are supported; left alone if taken.
    """
    temporary = root / ".tmp" / uuid4().hex
    try:
        _write_durably(temporary, pieces)
        won = _commit(root, temporary, path)
        if won and pool is not None:
            link(path, pool)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    fsync_folder(path.parent)
    return won


def replace(root: Path, path: Path, data: bytes) -> None:
    """Give path new content in one step, whatever it held."""
    temporary = root / ".tmp" / uuid4().hex
    try:
        _write_durably(temporary, [data])
        temporary.rename(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    fsync_folder(path.parent)


def link(source: Path, target: Path) -> bool:
    """A second name for a file. False: target exists, source does not, or links are not supported here.

    Not synced: lost with the power, it is made again.
    """
    try:
        make_folder(target.parent)
        os.link(source, target)
    except (FileExistsError, FileNotFoundError):
        return False
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True


def set_aside(root: Path, path: Path, *, inode: int | None = None) -> bool:
    """Move a bad file or folder to .quarantine; with inode, only if path still is that very file.

    The caller holds repair_lock, so that a good file that took the bad one's place stays.
    """
    try:
        if inode is not None and path.stat().st_ino != inode:
            return False
        path.rename(root / ".quarantine" / f"{path.parent.name[:12]}-{path.name}-{uuid4().hex[:8]}")
    except FileNotFoundError:
        return False
    return True


@contextmanager
def repair_lock(root: Path) -> Iterator[None]:
    """Alone in moving things out of a cache's entries."""
    descriptor = lock(root / ".lease" / ".repair")
    try:
        yield
    finally:
        os.close(descriptor)


def _write_durably(path: Path, pieces: Iterable[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _commit(root: Path, temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)
    except FileExistsError:
        # A network file system may lose the answer to a link that it made, and say this of the second try.
        return temporary.stat().st_nlink == 2
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        return True
    with repair_lock(root):
        if path.exists():
            return False
        temporary.rename(path)
        return True
