"""Locks between processes: flock on a file, which the kernel gives back however its holder dies.

A lock is held until the descriptor that these functions return is closed.
"""

import fcntl
import os
from pathlib import Path


def lock(path: Path, *, shared: bool = False) -> int:
    """Wait for the lock on path; a shared one keeps nobody out but who wants it alone."""
    return _locked(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """As `lock`, and None where that would have to wait."""
    try:
        return _locked(path, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return None


def _locked(path: Path, operation: int) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, operation)
            # Lock files are swept: a lock on one that has lost its name keeps nobody out.
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
