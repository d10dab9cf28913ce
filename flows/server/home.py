"""The folder that a local server belongs to: where it is, what its files say, and the locks in it.

`server.json` says which server is running, `start.lock` lets one process at a time look for it or start it, and every
run holds `runs.lock` shared for as long as it lives: the supervisor stops the server when that lock is free. `runs/`
is flow_runs.py's.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from platformdirs import user_state_path

from flows.server.process_mark import ProcessMark
from propainter.core.errors import ServerError
from propainter.core.locks import try_lock

POLL_S = 0.2


def server_home() -> Path:
    """The user's own folder on this machine; never the cache, which several machines may share."""
    return user_state_path("propainter") / "server"


def server_log(home: Path) -> Path:
    return home / "server.log"


def runs_lock(home: Path) -> Path:
    return home / "runs.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """What `server.json` holds. keep: stays after the last run. process: the supervisor's."""

    port: int
    keep: bool
    process: ProcessMark

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @classmethod
    def read(cls, home: Path) -> Self | None:
        """None where there is none, or it tells of a server that has gone."""
        try:
            held = json.loads((home / "server.json").read_text())
            record = cls(port=held["port"], keep=held["keep"], process=ProcessMark(**held["process"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return record if record.process.is_alive() else None

    def write(self, home: Path) -> None:
        write_json(home / "server.json", asdict(self))


def write_json(path: Path, held: object) -> None:
    """Whole or not at all, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(held))
    partial.replace(path)


def is_in_use(home: Path) -> bool:
    """Whether runs share the lock, as against a supervisor that holds it alone to stop the server."""
    for shared in (False, True):
        descriptor = try_lock(runs_lock(home), shared=shared)
        if descriptor is not None:
            os.close(descriptor)
            return shared
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for others: until a time of the monotonic clock, or until somebody calls it off."""

    deadline_s: float
    called_off: threading.Event

    @classmethod
    def of(cls, seconds: float) -> Self:
        return cls(deadline_s=time.monotonic() + seconds, called_off=threading.Event())

    def pause(self, what: str) -> None:
        """Wait a little.

        Raises:
            ServerError: it has been waited enough; what: goes on all this time.
        """
        if time.monotonic() > self.deadline_s:
            raise ServerError(f"{what}. See server.log beside it, and `propainter server status`.")
        if self.called_off.wait(POLL_S):
            raise ServerError("The start of the local server was called off.")

    def lock(self, path: Path, *, shared: bool = False) -> int:
        """As `propainter.core.locks.lock`, for no longer than this.

        Raises:
            ServerError: the lock stayed taken.
        """
        while (descriptor := try_lock(path, shared=shared)) is None:
            self.pause(f"{path} stays locked by another process")
        return descriptor


@contextmanager
def start_lock(home: Path, patience: Patience) -> Iterator[None]:
    """Alone in looking for the server, starting it and stopping it."""
    descriptor = patience.lock(home / "start.lock")
    try:
        yield
    finally:
        os.close(descriptor)


def last_words(home: Path) -> str:
    """The last line of the server's log, for an error's text."""
    log = server_log(home)
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return f"{lines[-1]} (all of it in {log})" if lines else f"it said nothing in {log}."
