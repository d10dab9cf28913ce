"""Which devices a run may use, and the lease that gives one of them to one task at a time.

A lease is an flock on one file per device, in one folder per user of the machine: runs that know nothing of
each other share the devices through it, and the kernel frees a device whose holder has died.
"""

import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from propainter.core.errors import DeviceError
from propainter.core.locks import lock, try_lock

POLL_S = 0.005
"""One waiter looks at a time, so that it may look often: meanwhile a device stands idle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLease:
    """A device that is ours while the lease is held: "cpu", or "cuda:N".

    give_back: ends the lease before its block does; may be called twice.
    """

    device: str
    give_back: Callable[[], None]


def resolve_devices(asked: str) -> tuple[str, ...]:
    """The devices that the user's word stands for; the CPU as often as it is named.

    Args:
        asked: "auto" (every CUDA device, or the CPU where there is none), "cpu", "cuda" (every CUDA device),
            or names separated by commas: "cuda:0,cuda:2", or "cpu,cpu" for two leases on the CPU at a time.

    Raises:
        DeviceError: a name that is none of these, or a CUDA device that is not there.
    """
    if asked == "auto":
        return _cuda_devices() or ("cpu",)
    names: list[str] = []
    for name in asked.replace(" ", "").split(","):
        if name == "cpu":
            names.append(name)
        elif name == "cuda" or (name.startswith("cuda:") and name[5:].isdecimal()):
            names.extend(cuda for cuda in _require_cuda(name) if cuda not in names)
        else:
            raise DeviceError(f"There is no device {name!r}. Give auto, cpu, cuda, or a list like cuda:0,cuda:1.")
    return tuple(names)


@contextmanager
def lease(devices: Sequence[str]) -> Iterator[DeviceLease]:
    """Hold the first free one of the devices; wait while all are taken.

    Raises:
        DeviceError: no device was named, or the folder of the locks cannot be trusted.
    """
    if not devices:
        raise DeviceError("A lease was asked for among no devices. Name at least one, or auto.")
    folder = machine_locks("devices")
    with _turn(folder, devices):
        while (held := _first_free(devices, folder)) is None:
            time.sleep(POLL_S)
    device, descriptor = held
    with ExitStack() as stack:
        stack.callback(os.close, descriptor)
        yield DeviceLease(device=device, give_back=stack.close)


@contextmanager
def _turn(folder: Path, devices: Sequence[str]) -> Iterator[None]:
    """Be the one who looks for a free one of these devices; the kernel hands the turn on in the order of asking.

    Without it a run with a segment waiting would take its own device again and again, and others would starve.
    """
    names = "+".join(dict.fromkeys(devices)).replace(":", "-")
    descriptor = lock(folder / f"{names}.{len(devices)}.turn")
    try:
        yield
    finally:
        os.close(descriptor)


def _first_free(devices: Sequence[str], folder: Path) -> tuple[str, int] | None:
    """A device and the descriptor that holds its lock."""
    for index, device in enumerate(devices):
        before = devices[:index].count(device)
        descriptor = try_lock(folder / f"{device.replace(':', '-')}{f'.{before}' if before else ''}.lock")
        if descriptor is not None:
            return device, descriptor
    return None


def machine_locks(kind: str) -> Path:
    """A folder for locks of one kind: machine-wide, and safe against another user who made it first.

    Raises:
        DeviceError: somebody else's, or open to others.
    """
    root = Path(os.environ.get("PROPAINTER_DEVICE_LOCKS") or Path(tempfile.gettempdir()) / f"propainter-{os.getuid()}")
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise DeviceError(f"{root} is not a folder that only you can write to. Remove it, or set TMPDIR to your own.")
    folder = root / kind
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _cuda_devices() -> tuple[str, ...]:
    import torch  # seconds to import: only when asked

    return tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))


def _require_cuda(name: str) -> tuple[str, ...]:
    present = _cuda_devices()
    if not present:
        raise DeviceError(f"{name} was asked for, and PyTorch sees no CUDA device here. Mend the driver, or give cpu.")
    if name == "cuda":
        return present
    if f"cuda:{int(name[5:])}" not in present:
        raise DeviceError(f"{name} was asked for, and there are only {', '.join(present)}. Give one of them, or auto.")
    return (f"cuda:{int(name[5:])}",)
