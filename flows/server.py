"""The local Prefect server of the command line: found, started, shared by runs and given up.

A server belongs to a home folder. There, `server.json` says which one is running, `start.lock` lets one
process at a time look for it or start it, and every run holds `runs.lock` shared for as long as it lives:
the supervisor (flows/server_supervisor.py) stops the server when that lock is free. `runs/` names the flow
runs under way and the process of each, so that a killed one can be told from a long one.

Prefect reads its environment when it is imported, so nothing here imports it before `wait` has returned.
"""

import fcntl
import http.client
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

from platformdirs import user_state_path

from propainter.core.errors import ServerError

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
POLL_S = 0.2

_logger = logging.getLogger(__name__)


def server_home() -> Path:
    """The user's own folder on this machine; never the cache, which several machines may share."""
    return user_state_path("propainter") / "server"


def prefect_environment(home: Path, api_url: str | None) -> dict[str, str]:
    """Prefect's variables for a run (api_url given) or for the server itself (None)."""
    environment = {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "propainter",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # SQLite records 23 task runs a second by default, 55 with these two.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
    }
    if api_url is not None:
        environment["PREFECT_API_URL"] = api_url
    return environment


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

    def is_alive(self) -> bool:
        return type(self).of(self.pid) == self


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """What `server.json` holds; process is the supervisor's."""

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
        _write_json(home / "server.json", asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """keep: stays after the last run. in_use: a run is connected. answers: its health check is good."""

    api_url: str
    pid: int
    keep: bool
    in_use: bool
    answers: bool
    log: Path


class LocalServer:
    """One run's hold on a server; a context manager that starts looking as it is entered.

    Entering returns at once; `wait` blocks until the server answers and must come before Prefect is
    imported. Where PREFECT_API_URL is set, that server is used and none is started.
    """

    def __init__(self, home: Path, *, keep: bool = False) -> None:
        self._home = home.absolute()
        self._keep = keep
        self._thread = threading.Thread(target=self._connect, name="server", daemon=True)
        self._cancelled = threading.Event()
        self._failure: BaseException | None = None
        self._api_url: str | None = None
        self._runs_lock: int | None = None
        self._replaced: dict[str, str | None] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Look for the server, or start it, in the background."""
        self._thread.start()

    def wait(self) -> str:
        """Block until the server answers, and set os.environ for it.

        Returns:
            The URL of its API.

        Raises:
            ServerError: it cannot be reached or started.
        """
        while self._thread.is_alive():
            self._thread.join(POLL_S)  # in slices, so that Ctrl-C gets through
        if self._failure is not None:
            raise self._failure
        assert self._api_url is not None
        self._set_environment(self._api_url)
        logging.getLogger("propainter").setLevel(logging.INFO)
        return self._api_url

    def close(self) -> None:
        """Let the server go: it stops if this was its last run and nobody asked to keep it."""
        self._cancelled.set()
        self._thread.join()
        if self._replaced and "prefect" in sys.modules:
            _flush_prefect()
        for name, value in self._replaced.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._replaced.clear()
        if self._runs_lock is not None:
            os.close(self._runs_lock)
            self._runs_lock = None

    def _connect(self) -> None:
        try:
            given = os.environ.get("PREFECT_API_URL")
            if given:
                _require_answer(given)
                self._api_url = given
            else:
                self._api_url = self._find_or_start()
        except OSError as error:
            failure = ServerError(f"The local server cannot use {self._home}: {error}. Give another folder.")
            failure.__cause__ = error
            self._failure = failure
        except BaseException as error:  # carried to `wait`, which raises it in the caller's thread
            self._failure = error

    def _find_or_start(self) -> str:
        deadline = time.monotonic() + START_TIMEOUT_S
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _start_lock(self._home, deadline, self._cancelled):
            # A supervisor that is stopping its server holds this exclusively: what it leaves is seen only after.
            self._runs_lock = _lock(self._home / "runs.lock", fcntl.LOCK_SH, deadline, self._cancelled)
            record = ServerRecord.read(self._home) or _spawn(self._home, keep=self._keep)
            if self._keep and not record.keep:
                record = ServerRecord(port=record.port, keep=True, process=record.process)
                record.write(self._home)
            while not _answers(record.port):
                if not record.process.is_alive():
                    raise ServerError(f"The local server did not start: {_last_line(self._home / 'server.log')}")
                _pause(deadline, self._cancelled, f"The local server does not answer after {START_TIMEOUT_S:.0f} s")
        return record.api_url

    def _set_environment(self, api_url: str) -> None:
        ours = {"PREFECT_HOME", "PREFECT_PROFILES_PATH", "PREFECT_API_URL"}
        for name, value in prefect_environment(self._home, api_url).items():
            if self._runs_lock is None and name in ours:
                continue  # the user's own server: his home holds the key to it
            if name in ours or name not in os.environ:
                self._replace(name, value)
        if self._runs_lock is not None:
            for name in ("no_proxy", "NO_PROXY"):
                self._replace(name, ",".join(filter(None, [os.environ.get(name), "127.0.0.1"])))

    def _replace(self, name: str, value: str) -> None:
        self._replaced.setdefault(name, os.environ.get(name))
        os.environ[name] = value


@contextmanager
def connect(home: Path, *, keep: bool = False) -> Iterator[str]:
    """A server for one run, with os.environ set for it; yields the URL of its API.

    Raises:
        ServerError: it cannot be reached or started.
    """
    with LocalServer(home, keep=keep) as server:
        yield server.wait()


def start_server(home: Path) -> ServerStatus:
    """Start the server, or take over a run's, so that it stays until `stop_server`.

    Raises:
        ServerError: it cannot be started, or PREFECT_API_URL names another.
    """
    given = os.environ.get("PREFECT_API_URL")
    if given:
        raise ServerError(f"PREFECT_API_URL is {given}, and runs use that server. Unset it to start a local one.")
    with connect(home, keep=True):
        pass
    status = server_status(home)
    if status is None:
        raise ServerError(f"The local server stopped at once: {_last_line(home / 'server.log')}")
    return status


def stop_server(home: Path) -> ServerStatus | None:
    """Stop the server, at once if no run uses it, else when the last one has ended.

    Returns:
        None when none is running any more; else the server that goes on until its runs have ended.

    Raises:
        ServerError: another process is starting it.
    """
    home = home.absolute()
    if ServerRecord.read(home) is None:
        return None
    deadline = time.monotonic() + STOP_TIMEOUT_S
    with _start_lock(home, deadline, threading.Event()):
        record = ServerRecord.read(home)
        if record is None:
            return None
        ServerRecord(port=record.port, keep=False, process=record.process).write(home)
        while record.process.is_alive():
            if _in_use(home):
                return server_status(home)
            _pause(deadline, threading.Event(), f"The server's supervisor, process {record.process.pid}, does not end")
    return None


def server_status(home: Path) -> ServerStatus | None:
    """None: no local server is running."""
    record = ServerRecord.read(home)
    if record is None:
        return None
    return ServerStatus(
        api_url=record.api_url,
        pid=record.process.pid,
        keep=record.keep,
        in_use=_in_use(home),
        answers=_answers(record.port),
        log=home / "server.log",
    )


def record_run(home: Path, flow_run_id: UUID | str) -> None:
    """Note that this process carries the flow run."""
    _write_json(_run_record(home, flow_run_id), asdict(_own_mark()))


def forget_run(home: Path, flow_run_id: UUID | str) -> None:
    """The flow run has ended and its server knows."""
    _run_record(home, flow_run_id).unlink(missing_ok=True)


def mark_dead_runs(home: Path) -> list[str]:
    """Set the flow runs whose process has gone to Crashed; a killed process could not say so itself.

    Call it connected. Returns the flow runs' ids.
    """
    dead = []
    for path in sorted((home / "runs").glob("*.json")):
        try:
            mark = ProcessMark(**json.loads(path.read_text()))
        except FileNotFoundError:
            continue  # ended just now
        except (ValueError, TypeError):
            mark = None
        if mark is None or not mark.is_alive():
            dead.append(path.stem)
    if not dead:
        return []
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        for flow_run_id in dead:
            with suppress(ObjectNotFound):
                run = client.read_flow_run(UUID(flow_run_id))
                if run.state is None or not run.state.is_final():
                    message = "Its process ended without a word, as after a kill or a power cut."
                    client.set_flow_run_state(run.id, Crashed(message=message), force=True)
            forget_run(home, flow_run_id)
    return dead


def child_environment(home: Path) -> dict[str, str]:
    """The environment of the server itself: none of the caller's Prefect settings but ours."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return inherited | prefect_environment(home, None)


def try_lock(path: Path, operation: int) -> int | None:
    """Take an flock without waiting; returns the descriptor that holds it until it is closed, or None."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock(path: Path, operation: int, deadline: float, cancelled: threading.Event) -> int:
    while True:
        descriptor = try_lock(path, operation)
        if descriptor is not None:
            return descriptor
        _pause(deadline, cancelled, f"{path} stays locked by another process")


@contextmanager
def _start_lock(home: Path, deadline: float, cancelled: threading.Event) -> Iterator[None]:
    descriptor = _lock(home / "start.lock", fcntl.LOCK_EX, deadline, cancelled)
    try:
        yield
    finally:
        os.close(descriptor)


def _pause(deadline: float, cancelled: threading.Event, what: str) -> None:
    if time.monotonic() > deadline:
        raise ServerError(f"{what}. See server.log beside it, and `propainter server status`.")
    if cancelled.wait(POLL_S):
        raise ServerError("The start of the local server was called off.")


def _spawn(home: Path, *, keep: bool) -> ServerRecord:
    """Start the supervisor; the caller holds start.lock, and runs.lock shared."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with (home / "server.log").open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "flows.server_supervisor", str(home), str(port)],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is meant for the run
        )
    mark = ProcessMark.of(supervisor.pid)
    if mark is None:
        raise ServerError(f"The local server did not start: {_last_line(home / 'server.log')}")
    record = ServerRecord(port=port, keep=keep, process=mark)
    record.write(home)
    return record


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)  # asks no proxy
    try:
        connection.request("GET", "/api/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _require_answer(api_url: str) -> None:
    url = f"{api_url.rstrip('/')}/health"
    try:
        with urllib.request.urlopen(url, timeout=10):
            return
    except urllib.error.HTTPError as error:
        if error.code < 500 and error.code != 404:
            return  # it answers; whether it lets us in is between Prefect and the user's key
        reason = f"HTTP {error.code}"
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLError):
            return  # it answers; whether to trust it is for Prefect's own TLS settings
        reason = str(error.reason)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = str(error)
    raise ServerError(
        f"No Prefect server answers at PREFECT_API_URL {api_url} ({reason}). Start it, or unset it for a local one."
    )


def _in_use(home: Path) -> bool:
    """Whether runs share the lock, as against a supervisor that holds it alone to stop the server."""
    for operation, in_use_if_taken in ((fcntl.LOCK_EX, False), (fcntl.LOCK_SH, True)):
        descriptor = try_lock(home / "runs.lock", operation)
        if descriptor is not None:
            os.close(descriptor)
            return in_use_if_taken
    return False


def _run_record(home: Path, flow_run_id: UUID | str) -> Path:
    return home / "runs" / f"{flow_run_id}.json"


def _own_mark() -> ProcessMark:
    mark = ProcessMark.of(os.getpid())
    assert mark is not None
    return mark


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


def _write_json(path: Path, held: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(held))
    partial.replace(path)


def _last_line(log: Path) -> str:
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return f"{lines[-1]} (all of it in {log})" if lines else f"it said nothing in {log}."


def _flush_prefect() -> None:
    """Send what Prefect still queues: the server may be gone a moment after this run lets it go."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    EventsWorker.drain_all(timeout=10, at_exit=False)
    APILogWorker.drain_all(timeout=10, at_exit=False)
