import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

import pytest

from propainter.core.errors import DeviceError
from propainter.core.locks import try_lock
from tasks.devices import lease, resolve_devices

_HOLDER = """
import sys, time
from tasks.devices import lease
with lease(sys.argv[1:]) as held:
    print(held.device, flush=True)
    time.sleep(60)
"""

_WAITER = """
import time
from tasks.devices import lease
print("asking", flush=True)
time.sleep(0.2)
with lease(["cpu"]):
    print("held", flush=True)
"""


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this test's own locks."""
    monkeypatch.setenv("PROPAINTER_DEVICE_LOCKS", str(tmp_path))
    (tmp_path / "devices").mkdir(mode=0o700)
    return tmp_path / "devices"


def _is_free(locks: Path, device: str) -> bool:
    descriptor = try_lock(locks / f"{device.replace(':', '-')}.lock")
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is not None


def test_a_device_leased_by_another_process_is_passed_over_until_a_kill_frees_it(locks: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, "cuda:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "cuda:0"
        with lease(["cuda:0", "cuda:1"]) as ours:
            assert ours.device == "cuda:1"
        assert not _is_free(locks, "cuda:0")
        holder.kill()
    with lease(["cuda:0"]) as ours:
        assert ours.device == "cuda:0"


def test_a_device_goes_to_one_holder_of_a_process_at_a_time(locks: Path) -> None:
    with lease(["cpu"]) as held:
        assert held.device == "cpu"
        assert not _is_free(locks, "cpu")
    assert _is_free(locks, "cpu")


def test_a_cpu_named_twice_has_two_holders_at_a_time(locks: Path) -> None:
    with lease(["cpu", "cpu"]) as first, lease(["cpu", "cpu"]) as second:
        assert first.device == second.device == "cpu"
        assert not _is_free(locks, "cpu")
        assert not _is_free(locks, "cpu.1")
    assert _is_free(locks, "cpu")


def test_another_process_gets_its_turn_though_this_one_always_has_somebody_waiting() -> None:
    taken: list[float] = []
    enough = threading.Event()

    def take_again_and_again() -> None:
        while not enough.is_set() and len(taken) < 200:
            with lease(["cpu"]):
                taken.append(time.monotonic())
                time.sleep(0.02)

    command = [sys.executable, "-c", _WAITER]
    with ThreadPoolExecutor(2) as pool, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "asking\n"
        for _ in range(2):
            pool.submit(take_again_and_again)
        assert other.stdout.readline() == "held\n"
        turns = len(taken)
        enough.set()
    assert turns < 50


def test_a_lease_ends_with_an_error_in_its_block(locks: Path) -> None:
    with pytest.raises(ZeroDivisionError), lease(["cpu"]):
        raise ZeroDivisionError
    assert _is_free(locks, "cpu")


def test_a_lease_given_back_early_is_over_and_the_end_of_its_block_takes_nothing_from_the_next(locks: Path) -> None:
    with lease(["cpu"]) as first:
        first.give_back()
        with lease(["cpu"]):
            first.give_back()
            assert not _is_free(locks, "cpu")


def test_a_lock_folder_that_others_can_write_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("PROPAINTER_DEVICE_LOCKS", str(folder))
    with pytest.raises(DeviceError, match="only you can write to"), lease(["cpu"]):
        pass


def test_a_lock_folder_that_is_a_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv("PROPAINTER_DEVICE_LOCKS", str(tmp_path / "link"))
    with pytest.raises(DeviceError, match="only you can write to"), lease(["cpu"]):
        pass


@pytest.mark.parametrize(
    ("asked", "present", "devices"),
    [
        ("auto", 0, ("cpu",)),
        ("auto", 2, ("cuda:0", "cuda:1")),
        ("cpu", 2, ("cpu",)),
        ("cuda", 2, ("cuda:0", "cuda:1")),
        ("cuda:1", 2, ("cuda:1",)),
        ("cuda:1, cuda:0,cuda:1", 2, ("cuda:1", "cuda:0")),
        ("cpu,cpu", 2, ("cpu", "cpu")),
    ],
)
def test_devices_are_resolved(asked: str, present: int, devices: tuple[str, ...]) -> None:
    with patch("torch.cuda.device_count", return_value=present):
        assert resolve_devices(asked) == devices


@pytest.mark.parametrize(
    ("asked", "present", "message"),
    [
        ("cuda", 0, "no CUDA device"),
        ("cuda:0", 0, "no CUDA device"),
        ("cuda:2", 2, "only cuda:0, cuda:1"),
        ("gpu", 2, "no device 'gpu'"),
        ("cuda:x", 2, "no device 'cuda:x'"),
        ("", 2, "no device ''"),
    ],
)
def test_a_device_that_is_not_there_is_an_error_and_never_the_cpu(asked: str, present: int, message: str) -> None:
    with patch("torch.cuda.device_count", return_value=present), pytest.raises(DeviceError, match=message):
        resolve_devices(asked)
