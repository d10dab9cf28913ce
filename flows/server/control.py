"""Start, stop and status of the local server, as `propainter server` has them."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from flows.server.home import Patience, ServerRecord, is_in_use, last_words, server_log, start_lock
from flows.server.local_server import connect
from propainter.core.errors import ServerError

STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """pid: the supervisor's. keep: stays after the last run. in_use: a run is connected."""

    api_url: str
    pid: int
    keep: bool
    in_use: bool
    log: Path


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
        raise ServerError(f"The local server stopped at once: {last_words(home)}")
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
    patience = Patience.of(STOP_TIMEOUT_S)
    with start_lock(home, patience):
        record = ServerRecord.read(home)
        if record is None:
            return None
        replace(record, keep=False).write(home)
        while record.process.is_alive():
            if is_in_use(home):
                return server_status(home)
            patience.pause(f"The server's supervisor, process {record.process.pid}, does not end")
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
        in_use=is_in_use(home),
        log=server_log(home),
    )
