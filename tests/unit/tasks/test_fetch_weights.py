"""Weights from a server on this machine, whole and verified, whatever breaks on the way."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from propainter.core.errors import WeightsError
from propainter.models.checkpoints import Checkpoint
from tasks import fetch_weights as module
from tasks.fetch_weights import fetch_weights, import_weights

CONTENT = bytes(range(256)) * 40


class Server(http.server.SimpleHTTPRequestHandler):
    """Answers ranges, and sends only so many bytes of an answer while `breaks_after` is set."""

    breaks_after: int | None = None
    asked: list[str | None] = []  # noqa: RUF012 - shared by the handlers of one test

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Range"))
        content = (Path(self.directory) / self.path.lstrip("/")).read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : start + (Server.breaks_after or len(content))])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    checkpoint = Checkpoint(
        file_name="net.pth",
        size_bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        licence="none",
    )
    monkeypatch.setattr(module, "KNOWN_CHECKPOINTS", (checkpoint,))
    Server.breaks_after, Server.asked = None, []
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "net.pth").write_bytes(CONTENT)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=tmp_path / "mirror")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def fetch(folder: Path, mirror: str) -> None:
    fetch_weights(folder, mirror=mirror, received=lambda *_: None)


def test_files_arrive_whole_and_are_not_fetched_again(tmp_path: Path, mirror: str) -> None:
    fetch(tmp_path / "weights", mirror)
    fetch(tmp_path / "weights", mirror)
    assert (tmp_path / "weights" / "net.pth").read_bytes() == CONTENT
    assert Server.asked == [None]
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["net.pth"]


def test_a_broken_download_goes_on_where_it_broke(tmp_path: Path, mirror: str) -> None:
    Server.breaks_after = 3000
    with pytest.raises(WeightsError):
        fetch(tmp_path / "weights", mirror)
    assert not (tmp_path / "weights" / "net.pth").exists()
    Server.breaks_after = None
    fetch(tmp_path / "weights", mirror)
    assert (tmp_path / "weights" / "net.pth").read_bytes() == CONTENT
    assert Server.asked == [None, "bytes=3000-"]


def test_another_file_is_refused_and_not_kept(tmp_path: Path, mirror: str) -> None:
    (tmp_path / "mirror" / "net.pth").write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match="sha256"):
        fetch(tmp_path / "weights", mirror)
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_server_that_is_not_there_is_named_with_the_way_out(tmp_path: Path, mirror: str) -> None:
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1:9/net\.pth cannot be fetched.*--from DIR"):
        fetch(tmp_path / "weights", "http://127.0.0.1:9")


@pytest.mark.usefixtures("mirror")
def test_a_folder_is_imported_only_if_its_files_are_the_released_ones(tmp_path: Path) -> None:
    import_weights(tmp_path / "mirror", tmp_path / "weights")
    assert (tmp_path / "weights" / "net.pth").read_bytes() == CONTENT
    (tmp_path / "mirror" / "net.pth").write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match="truncated"):
        import_weights(tmp_path / "mirror", tmp_path / "elsewhere")
