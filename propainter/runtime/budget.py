"""How much memory may be used: a share of what is free now, on a device and in RAM."""

from dataclasses import dataclass
from pathlib import Path

import psutil

from propainter.core.settings import Memory
from propainter.runtime.footprint import Footprint, Portion, halved

GB, MB = 2**30, 2**20

SEGMENTS_PER_DEVICE = 2
"""Under way at a time: one is computed, the other reads what it needs or writes what it made."""

_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """ram_bytes, device_bytes: at most; on a CPU they are one, and device_bytes is None."""

    ram_bytes: int
    device_bytes: int | None

    def holds(self, footprint: Footprint, portion: Portion) -> bool:
        on_device = footprint.device_bytes(portion) + footprint.weights_bytes
        if self.device_bytes is None:
            return arrays_bytes(footprint) + on_device <= self.ram_bytes
        return arrays_bytes(footprint) <= self.ram_bytes and on_device <= self.device_bytes

    def largest_portion(self, footprint: Footprint) -> Portion | None:
        """The largest portion that fits, halved as often as it takes; None where even the smallest does not.

        Frames are kept only in what the rest leaves.
        """
        portion: Portion | None = Portion(at_once=footprint.most.at_once)
        while portion is not None and not self.holds(footprint, portion):
            portion = halved(portion) if portion != footprint.least else None
        if portion is None:
            return None
        kept = footprint.most.kept
        while not self.holds(footprint, Portion(at_once=portion.at_once, kept=kept)):
            kept //= 2
        return Portion(at_once=portion.at_once, kept=kept)


def arrays_bytes(footprint: Footprint) -> int:
    """In RAM, for all segments that a device has under way."""
    return SEGMENTS_PER_DEVICE * footprint.ram_bytes()


def budget_for(device: str, memory: Memory, *, sharing: int = 1) -> Budget:
    """What may be used on a device: memory.fraction of what is free on it and, shared among so many, in RAM."""
    ram_bytes = int(memory.fraction * free_ram_bytes() / sharing)
    if device == "cpu":
        return Budget(ram_bytes=ram_bytes, device_bytes=None)
    device_bytes = int(memory.fraction * free_gpu_bytes(device))
    if memory.gpu_gb is not None:
        device_bytes = min(device_bytes, int(memory.gpu_gb * GB))
    return Budget(ram_bytes=ram_bytes, device_bytes=device_bytes)


def in_words(size_bytes: int) -> str:
    """As 1.25 GB or 320.0 MB, of 1024 each as --gpu-memory counts."""
    return f"{size_bytes / GB:.2f} GB" if size_bytes >= GB else f"{size_bytes / MB:.1f} MB"


def free_ram_bytes() -> int:
    """What the machine has free, or the container that this process runs in."""
    free_bytes = psutil.virtual_memory().available
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used_bytes = int((_CGROUP / "memory.current").read_text())
        stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except OSError:
        return free_bytes
    if limit == "max":
        return free_bytes
    # Files in the page cache count as used, and go when the room is needed.
    return max(0, min(free_bytes, int(limit) - used_bytes + int(stat["inactive_file"])))


def free_gpu_bytes(device: str) -> int:
    """With what this process's own pool holds ready."""
    import torch  # seconds to import: only when asked

    free_bytes, _ = torch.cuda.mem_get_info(device)
    return free_bytes + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
