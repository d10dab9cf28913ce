"""Settings of the C library's allocator; without effect where it is not glibc. All are for a whole process.

By default glibc gives each thread a heap of its own, and keeps in every one what it once needed. And it hands every
block over 32 MiB back to the system when it is freed, which clears it page by page when it is asked for again: for the
maps of a large frame that costs several times the arithmetic done on them.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
_KEPT_BYTES = 2**31 - 1
_STEP_BYTES = 64 * 2**20
_LARGEST_THRESHOLD_BYTES = 2**25


def share_one_heap() -> bool:
    """Have all threads allocate from one heap; to be called first of all, since glibc decides once.

    Peak memory for 600 frames at 432x240 was 864 MB without this, and 543 MB with it (625 and 495 MB for 60 frames).

    Returns:
        False where nothing was changed.
    """
    return _set({_M_ARENA_MAX: 1})


def keep_freed_memory() -> bool:
    """Reuse freed blocks instead of returning them; best called before the first tensor.

    Returns:
        False where nothing was changed.
    """
    return _set({_M_MMAP_THRESHOLD: _KEPT_BYTES, _M_TRIM_THRESHOLD: _KEPT_BYTES, _M_TOP_PAD: _STEP_BYTES})


def return_blocks_over(size_bytes: int) -> bool:
    """Map larger blocks one by one, so that they are gone when they are freed, whatever lies behind them.

    What is made and dropped all the time should be smaller: it would be cleared each time.

    Returns:
        False where nothing was changed.
    """
    size_bytes = min(size_bytes, _LARGEST_THRESHOLD_BYTES)
    return _set({_M_MMAP_THRESHOLD: size_bytes, _M_TRIM_THRESHOLD: 2 * size_bytes})


def _set(settings: dict[int, int]) -> bool:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    return mallopt is not None and all(mallopt(setting, value) == 1 for setting, value in settings.items())
