"""Keeping freed memory inside the process.

The C library hands every block over 32 MiB back to the system when it is freed, and the system clears it page by page
when it is asked for again: for the maps of a large frame that costs several times the arithmetic done on them.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEPT_BYTES = 2**31 - 1
_STEP_BYTES = 64 * 2**20


def keep_freed_memory() -> bool:
    """Reuse freed blocks instead of returning them; for a whole process, best called before the first tensor.

    Returns:
        False where the C library is not glibc, and nothing was changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_M_MMAP_THRESHOLD, _KEPT_BYTES), (_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_TOP_PAD, _STEP_BYTES))
    return all(mallopt(setting, value) == 1 for setting, value in settings)
