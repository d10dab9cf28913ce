"""The process that the local server runs under: `python -m flows.server.supervisor HOME PORT`.

It stops the server when no run holds `runs.lock` any more, which the kernel frees even for a run killed with
SIGKILL, unless `server.json` says to keep it; and it takes the server with it when it is itself killed.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from flows.server.environment import child_environment
from flows.server.home import ServerRecord, runs_lock
from propainter.core.locks import try_lock

POLL_S = 0.5
TERMINATE_TIMEOUT_S = 5.0


def supervise(home: Path, port: int) -> None:
    """Run the server until it ends, is stopped, or its last run has ended."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _leave)
    parent_pid = os.getpid()
    server = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        cwd=home,
        env=child_environment(home),
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: _die_with(parent_pid),
    )
    held: int | None = None
    try:
        while server.poll() is None and held is None:
            time.sleep(POLL_S)
            held = _lock_if_unwanted(home)
    finally:
        # Held while stopping: a run that arrives now waits for it, then finds no record and starts its own.
        _stop(server)
        record = ServerRecord.read(home)
        if record is not None and record.process.pid == os.getpid():
            (home / "server.json").unlink()
        if held is not None:
            os.close(held)


def _lock_if_unwanted(home: Path) -> int | None:
    """The runs' lock, alone, if no run holds it and nobody asked to keep the server."""
    if _is_kept(home):
        return None
    held = try_lock(runs_lock(home))
    if held is not None and _is_kept(home):  # asked for between the two looks
        os.close(held)
        return None
    return held


def _is_kept(home: Path) -> bool:
    record = ServerRecord.read(home)
    return record is not None and record.keep


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(TERMINATE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends; elsewhere than on Linux there is no such call."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    supervise(Path(sys.argv[1]), int(sys.argv[2]))
