"""A run's hold on the local Prefect server: found or started, shared with other runs, and given up.

Prefect reads its environment when it is imported, so nothing here imports it before `wait` has returned.
"""

import http.client
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from flows.server.environment import prefect_environment
from flows.server.home import POLL_S, Patience, ServerRecord, last_words, runs_lock, server_log, start_lock
from flows.server.process_mark import ProcessMark
from propainter.core.errors import ServerError

START_TIMEOUT_S = 120.0


class LocalServer:
    """One run's hold on a server; a context manager that starts looking as it is entered.

    Entering returns at once; `wait` blocks until the server answers and must come before Prefect is
    imported. Where PREFECT_API_URL is set, that server is used and none is started. On leaving, the server stops if
    this was its last run and nobody asked to keep it.
    """

    def __init__(self, home: Path, *, keep: bool = False) -> None:
        self._home = home.absolute()
        self._keep = keep
        self._thread = threading.Thread(target=self._connect, name="server", daemon=True)
        self._patience = Patience.of(START_TIMEOUT_S)
        self._failure: BaseException | None = None
        self._api_url: str | None = None
        self._runs_lock: int | None = None
        self._replaced: dict[str, str | None] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patience.called_off.set()
        self._thread.join()
        if self._replaced and "prefect" in sys.modules:
            _flush_prefect()
        for name, value in self._replaced.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if self._runs_lock is not None:
            os.close(self._runs_lock)

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
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with start_lock(self._home, self._patience):
            # A supervisor that is stopping its server holds this alone: what it leaves is seen only after.
            self._runs_lock = self._patience.lock(runs_lock(self._home), shared=True)
            record = ServerRecord.read(self._home) or _spawn(self._home, keep=self._keep)
            if self._keep and not record.keep:
                record = replace(record, keep=True)
                record.write(self._home)
            while not _answers(record.port):
                if not record.process.is_alive():
                    raise ServerError(f"The local server did not start: {last_words(self._home)}")
                self._patience.pause(f"The local server does not answer after {START_TIMEOUT_S:.0f} s")
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


def _spawn(home: Path, *, keep: bool) -> ServerRecord:
    """Start the supervisor; the caller holds start.lock, and runs.lock shared."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with server_log(home).open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "flows.server.supervisor", str(home), str(port)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is meant for the run
        )
    mark = ProcessMark.of(supervisor.pid)
    if mark is None:
        raise ServerError(f"The local server did not start: {last_words(home)}")
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


def _flush_prefect() -> None:
    """Send what Prefect still queues: the server may be gone a moment after this run lets it go."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    EventsWorker.drain_all(timeout=10, at_exit=False)
    APILogWorker.drain_all(timeout=10, at_exit=False)
