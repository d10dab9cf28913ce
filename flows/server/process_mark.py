"""Which process it was: a pid alone is given to another process later."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMark:
    """One process, told from any later one that is given the same pid, on this boot or another."""

    pid: int
    boot_id: str
    started: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """None: no such process, or one that has ended and waits to be reaped."""
        started = _process_start(pid)
        return None if started is None else cls(pid=pid, boot_id=_boot_id(), started=started)

    @classmethod
    def of_this_process(cls) -> Self:
        mark = cls.of(os.getpid())
        assert mark is not None
        return mark

    def is_alive(self) -> bool:
        return type(self).of(self.pid) == self


def _boot_id() -> str:
    if sys.platform == "linux":
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    import psutil

    return str(int(psutil.boot_time()))


def _process_start(pid: int) -> str | None:
    if sys.platform == "linux":
        try:
            after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if after_name[0] in "ZX" else after_name[19]  # state; start in clock ticks since boot
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.NoSuchProcess:
        return None
