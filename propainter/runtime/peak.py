"""How much more memory a piece of work takes at its peak than there was before it.

On a GPU what PyTorch's allocator handed out; on a CPU the growth of the process, for which every freed block must go
back to the system at once: `return_freed_memory`, first of all, in a process that does nothing else.
"""

import ctypes
import gc
import re
import sys
from collections.abc import Callable
from pathlib import Path

from propainter.core.errors import DeviceError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_SMALLEST_BYTES = 64 * 1024
_RESET_PEAK = "5"


def return_freed_memory() -> None:
    """Have blocks over 64 KiB mapped one by one, so that resident memory is what is held and no more.

    Raises:
        DeviceError: not Linux with glibc, where none of this can be measured.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    settings = {_M_MMAP_THRESHOLD: _SMALLEST_BYTES, _M_MMAP_MAX: 2**24, _M_TRIM_THRESHOLD: 0}
    if mallopt is None or not all(mallopt(setting, value) == 1 for setting, value in settings.items()):
        raise DeviceError(f"Memory cannot be measured on {sys.platform}. Measure on Linux with glibc, or on a GPU.")


def peak_growth_bytes(work: Callable[[], object], device: str) -> int:
    """Run work, and say by how much memory on the device had grown at most meanwhile."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    # What was freed before and is still held would be used first, and not be seen.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    before = _resident_bytes("VmRSS") - _resident_bytes("RssFile")
    work()
    # Files are libraries, whose code is read in where it is first run: part of the process, and not of this work.
    return _resident_bytes("VmHWM") - _resident_bytes("RssFile") - before


def _resident_bytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise DeviceError(f"This system does not tell {field}. Measure on Linux, or on a GPU.")
    return int(found[1]) * 1024
