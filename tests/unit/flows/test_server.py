import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest.mock import Mock
from uuid import UUID

import httpx
import pytest

from flows.commands.serving import workflow_server
from flows.server.control import server_status, start_server, stop_server
from flows.server.flow_runs import forget_run, mark_dead_runs, record_run
from flows.server.home import ServerRecord, server_home
from flows.server.local_server import LocalServer, connect
from flows.server.process_mark import ProcessMark
from propainter.core.errors import MediaError, ServerError
from propainter.core.locks import lock

_RUN = """
import sys
from pathlib import Path
from flows.server.local_server import connect
with connect(Path(sys.argv[1])) as api_url:
    print(api_url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def no_server_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture(scope="module")
def warm_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for all tests that start a server: the first start costs three times the next ones."""
    return tmp_path_factory.mktemp("home")


@contextmanager
def _run(home: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    run = subprocess.Popen([sys.executable, "-c", _RUN, home], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with run:
        assert run.stdout is not None
        try:
            yield run, run.stdout.readline().strip()
        finally:
            run.kill()


def _wait_until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def _processes_of(home: Path) -> list[str]:
    """Command lines of live processes that were started for this home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            command = (process / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if f"PREFECT_HOME={home}\0".encode() in environment or f"server.supervisor\0{home}\0".encode() in command:
            found.append(command.decode())
    return found


@contextmanager
def _answering_server() -> Iterator[int]:
    """Something that is healthy at /api/health; yields its port."""

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/health" else 404)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def _record(home: Path, port: int, *, keep: bool = False) -> None:
    ServerRecord(port=port, keep=keep, process=ProcessMark.of_this_process()).write(home)


@pytest.mark.slow
def test_runs_share_a_server_and_it_stops_when_the_last_one_is_killed(warm_home: Path) -> None:
    with _run(warm_home) as (first, first_url):
        with _run(warm_home) as (second, second_url):
            assert first_url == second_url
            assert first_url.startswith("http://127.0.0.1:")
            first.communicate("")
            status = server_status(warm_home)
            assert status is not None
            assert status.in_use
            second.send_signal(signal.SIGKILL)
        _wait_until(lambda: not _processes_of(warm_home))
    assert server_status(warm_home) is None
    assert not (warm_home / "server.json").exists()


@pytest.mark.slow
def test_a_server_that_was_asked_for_stays_until_it_is_stopped(warm_home: Path) -> None:
    started = start_server(warm_home)
    assert started.keep
    assert not started.in_use
    with _run(warm_home) as (run, url):
        assert url == started.api_url
        still_needed = stop_server(warm_home)
        assert still_needed is not None
        assert still_needed.in_use
        run.communicate("")
    _wait_until(lambda: not _processes_of(warm_home))
    assert stop_server(warm_home) is None


@pytest.mark.slow
def test_a_killed_supervisor_takes_its_server_along_and_the_next_run_starts_another(warm_home: Path) -> None:
    started = start_server(warm_home)
    os.kill(started.pid, signal.SIGKILL)
    _wait_until(lambda: not _processes_of(warm_home))
    assert (warm_home / "server.json").exists()
    assert server_status(warm_home) is None
    with connect(warm_home) as api_url:
        status = server_status(warm_home)
        assert status is not None
        assert status.api_url == api_url
        assert status.pid != started.pid
        assert not status.keep
    _wait_until(lambda: not _processes_of(warm_home))


def test_a_server_that_cannot_start_is_told_in_one_line_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "prefect.db").mkdir()
    with pytest.raises(ServerError, match=r"did not start: .+server\.log") as caught, connect(tmp_path):
        pass
    assert "\n" not in str(caught.value)
    _wait_until(lambda: not _processes_of(tmp_path))


def test_a_home_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServerError, match="cannot use"), connect(tmp_path / "file" / "home"):
        pass


def test_a_given_server_is_used_and_none_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _answering_server() as port:
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
        monkeypatch.setenv("PREFECT_HOME", "the user's")
        monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "DEBUG")
        with connect(tmp_path / "home") as api_url:
            assert api_url == f"http://127.0.0.1:{port}/api"
            assert os.environ["PREFECT_HOME"] == "the user's"
            assert os.environ["PREFECT_LOGGING_LEVEL"] == "DEBUG"
            assert os.environ["DO_NOT_TRACK"] == "1"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("path", ["", "/nowhere"])
def test_a_given_server_that_does_not_answer_is_an_error(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _answering_server() as port:
        unused_port = 1
        url = f"http://127.0.0.1:{port}{path}" if path else f"http://127.0.0.1:{unused_port}/api"
        monkeypatch.setenv("PREFECT_API_URL", url)
        with pytest.raises(ServerError, match="No Prefect server answers at PREFECT_API_URL"), connect(tmp_path):
            pass


def test_a_server_that_is_lost_in_the_middle_of_a_run_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one_line = r"^The workflow server no longer answers \(refused\)\. .* run the same command again to go on\.$"
    with pytest.raises(ServerError, match=one_line), workflow_server(keep=False):
        raise httpx.ConnectError("refused")


def test_a_run_whose_server_is_lost_stays_noted_so_that_the_next_command_can_mark_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(LocalServer, "wait", lambda server: None)
    monkeypatch.delitem(sys.modules, "prefect", raising=False)  # whose settings are not to follow that address

    def run_that_ends_in(number: int, error: Exception) -> None:
        with workflow_server(keep=False) as server_answers:
            server_answers()(Mock(), Mock(id=UUID(int=number)), Mock())
            raise error

    with pytest.raises(MediaError):
        run_that_ends_in(1, MediaError("which the server is told of"))
    with pytest.raises(ServerError, match=r"\(ReadTimeout\)"):
        run_that_ends_in(2, httpx.ReadTimeout(""))
    assert [note.stem for note in (server_home() / "runs").iterdir()] == [str(UUID(int=2))]


_LOSES_ITS_SERVER = """
import threading, time
from flows import cli
from propainter.core.errors import ServerLostError
def command(*arguments, **options):
    threading.Thread(target=time.sleep, args=(600,)).start()  # as Prefect, which goes on trying to reach it
    raise ServerLostError("It is gone.")
cli.app = command
cli.main([])
"""


def test_a_command_whose_server_is_lost_does_not_wait_for_what_cannot_be_sent_to_it() -> None:
    ended = subprocess.run([sys.executable, "-c", _LOSES_ITS_SERVER], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (2, "error: It is gone.\n")


def test_a_run_sets_its_environment_and_puts_back_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_HOME", "before")
    monkeypatch.setenv("NO_PROXY", "example.org")
    with _answering_server() as port:
        _record(tmp_path, port)
        with connect(tmp_path) as api_url:
            assert os.environ["PREFECT_API_URL"] == api_url == f"http://127.0.0.1:{port}/api"
            assert os.environ["PREFECT_HOME"] == str(tmp_path)
            assert os.environ["NO_PROXY"] == "example.org,127.0.0.1"
        assert "PREFECT_API_URL" not in os.environ
        assert os.environ["PREFECT_HOME"] == "before"


def test_a_run_that_comes_while_the_server_is_being_stopped_waits_and_takes_the_next_one(tmp_path: Path) -> None:
    with _answering_server() as leaving, _answering_server() as next_one:
        _record(tmp_path, leaving)
        supervisors = lock(tmp_path / "runs.lock")
        with LocalServer(tmp_path) as run:
            _wait_until(lambda: (tmp_path / "start.lock").exists())
            _record(tmp_path, next_one)
            os.close(supervisors)
            assert run.wait() == f"http://127.0.0.1:{next_one}/api"


def test_a_run_that_asks_to_keep_a_running_server_has_it_kept(tmp_path: Path) -> None:
    with _answering_server() as port:
        _record(tmp_path, port)
        with connect(tmp_path, keep=True):
            pass
        status = server_status(tmp_path)
    assert status is not None
    assert status.keep


def test_a_record_of_another_boot_or_another_process_of_that_pid_is_stale(tmp_path: Path) -> None:
    _record(tmp_path, 1)
    assert ServerRecord.read(tmp_path) is not None
    held = json.loads((tmp_path / "server.json").read_text())
    for key in ("boot_id", "started"):
        other = held | {"process": held["process"] | {key: "0"}}
        (tmp_path / "server.json").write_text(json.dumps(other))
        assert ServerRecord.read(tmp_path) is None
    (tmp_path / "server.json").write_text("{")
    assert ServerRecord.read(tmp_path) is None


def test_runs_whose_process_has_gone_are_marked_crashed_and_no_others(prefect_server: str, tmp_path: Path) -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.states import Completed, Running

    @flow
    def nothing() -> None:
        pass

    with subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE) as gone:
        mark = ProcessMark.of(gone.pid)
    assert mark is not None
    with get_client(sync_client=True) as client:
        killed = client.create_flow_run(nothing, state=Running()).id
        alive = client.create_flow_run(nothing, state=Running()).id
        ended = client.create_flow_run(nothing, state=Completed()).id
        for flow_run_id in (killed, alive, ended, UUID(int=1)):
            record_run(tmp_path, flow_run_id)
        for flow_run_id in (killed, ended, UUID(int=1)):
            (tmp_path / "runs" / f"{flow_run_id}.json").write_text(json.dumps(asdict(mark)))

        assert set(mark_dead_runs(tmp_path)) == {str(killed), str(ended), str(UUID(int=1))}

        assert client.read_flow_run(killed).state_name == "Crashed"
        assert client.read_flow_run(alive).state_name == "Running"
        assert client.read_flow_run(ended).state_name == "Completed"
    assert [path.stem for path in (tmp_path / "runs").iterdir()] == [str(alive)]
    forget_run(tmp_path, alive)
    assert mark_dead_runs(tmp_path) == []
