"""Settings of the C library's allocator, without effect where it is not glibc, and of what else keeps memory. All are
for a whole process.

By default glibc gives each thread a heap of its own, and keeps in every one what it once needed. And it hands every
block over 32 MiB back to the system when it is freed, which clears it page by page when it is asked for again: for the
maps of a large frame that costs several times the arithmetic done on them.
"""

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
_KEPT_BYTES = 2**31 - 1
_STEP_BYTES = 64 * 2**20
_LARGEST_THRESHOLD_BYTES = 2**25
_MOST_KERNELS = 256
"""All three networks take some 130 for one size of frame, and each further size of hole two or three. Counted by the
lines with create:cache_miss that ONEDNN_VERBOSE=profile_create has benchmarks.bench_engine print.
"""


def share_one_heap() -> bool:
    """Have all threads allocate from one heap; to be called first of all, since glibc decides once.

    With a heap for each thread, memory grows with the length of the video.

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


def return_freed_memory() -> bool:
    """Give the system what lies free between blocks in use: arrays of ever other sizes leave more and more of it.

    Returns:
        False where nothing was done.
    """
    return _call("malloc_trim", 0)


def bound_kernel_caches() -> None:
    """Have oneDNN forget kernels that it has not used for long; to be called before torch is imported.

    It makes one for each shape of a layer, and keeps 1,024; around a hole that moves every frame has shapes of its own.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(_MOST_KERNELS))


def _set(settings: dict[int, int]) -> bool:
    return all(_call("mallopt", setting, value) for setting, value in settings.items())


def _call(name: str, *numbers: int) -> bool:
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
    return function is not None and function(*numbers) == 1
