"""A disk that fills up in mid-run: one line, nothing half-made, and the same command goes on when there is room."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from clips import draw_clip, write_masks, write_video

from cache import publish
from cache.journal import committed_counts
from cache.maintenance import verify
from flows.inpaint import inpaint
from flows.progress import LogProgress, listening
from propainter.core.errors import DiskFullError, OutputError
from tasks.plan import STAGES

FRAMES = 40
SUBVIDEO_FRAMES = 20


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Path:
    """A clip, its masks, and what undisturbed runs make of them: out.mp4, frames/ and the cache."""
    folder = tmp_path_factory.mktemp("inputs")
    frames, holes = draw_clip(FRAMES)
    write_video(folder / "clip.mkv", frames)
    write_masks(folder / "masks", holes)
    for name in ("out.mp4", "frames"):
        run(folder, folder / name, folder / "cache")
    return folder


def run(inputs: Path, output: Path, cache: Path) -> dict[str, Any]:
    """The flow, in this process."""
    settings = {"complete_flow": {"subvideo_length": SUBVIDEO_FRAMES}}
    video, masks = str(inputs / "clip.mkv"), str(inputs / "masks")
    return inpaint(video, masks, str(output), settings, cache=str(cache), devices="cpu")


def start(inputs: Path, output: Path, cache: Path, api_url: str) -> subprocess.Popen[str]:
    """The command, in its own."""
    return subprocess.Popen(
        [
            sys.executable, "-m", "flows.cli", "inpaint", str(inputs / "clip.mkv"), "--mask", str(inputs / "masks"),
            "-o", str(output), "--cache", str(cache), "--devices", "cpu", "--subvideo_length", str(SUBVIDEO_FRAMES),
            "--log-format", "json",
        ],
        stderr=subprocess.PIPE, text=True, env=os.environ | {"PREFECT_API_URL": api_url},
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> tuple[list[tuple[str, int]], list[str]]:
    """To the end of the process: the segments that it computed, and its other lines."""
    assert process.stderr is not None
    computed, others = [], []
    with process, process.stderr:
        for line in process.stderr:
            if not line.startswith("{"):
                others.append(line.rstrip("\n"))
            elif (event := json.loads(line))["event"] == "computed":
                computed.append((event["stage"], event["segment"]))
    return computed, others


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB, where this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system may not be mounted here; other tests beside this one have the disk full by decree")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all the room there is."""
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while ballast.write(bytes(size)) == size:
                    pass
    assert shutil.disk_usage(disk).free == 0
    return disk / "ballast"


def committed(cache: Path) -> set[tuple[str, int]]:
    return {
        (path.parents[2].name, int(path.name.split(".")[1]))
        for stage in STAGES
        for path in cache.glob(f"v*/{stage}/*/*/[bc].*")
    }


@pytest.mark.slow
def test_a_cache_that_fills_up_stops_the_command_which_later_goes_on(
    inputs: Path, prefect_server: str, small_disk: Path, tmp_path: Path
) -> None:
    output, cache = tmp_path / "out.mp4", small_disk / "cache"
    process = start(inputs, output, cache, prefect_server)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("{") and json.loads(line)["event"] == "computed":
            break
    ballast = fill(small_disk)
    _, lines = said(process)
    assert process.returncode == 2
    assert len(lines) == 1, lines
    assert re.fullmatch(rf"error: no space left for the cache in {cache}\. Free some .*--cache DIR.*", lines[0])
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]
    assert list((cache / ".tmp").iterdir()) == []

    ballast.unlink()
    kept = committed(cache)
    check = [sys.executable, "-m", "flows.cli", "cache", "verify", "--cache", str(cache)]
    verified = subprocess.run(check, capture_output=True, text=True, check=True)
    assert f"{len(kept)} segments checked, 0 broken" in verified.stdout
    process = start(inputs, output, cache, prefect_server)
    computed, _ = said(process)
    assert process.returncode == 0
    assert output.read_bytes() == (inputs / "out.mp4").read_bytes()
    assert kept
    assert kept.isdisjoint(computed)
    assert kept.union(computed) == committed(inputs / "cache")


class AfterOneSegment(LogProgress):
    """Has the cache's disk full as soon as one segment is computed."""

    def __init__(self) -> None:
        self.full = False

    def computed(self, stage: str, segment: int, frames: int) -> None:
        self.full = True


@contextmanager
def room_for_one_segment() -> Iterator[None]:
    disk, write = AfterOneSegment(), publish._write_durably

    def write_half_when_full(path: Path, pieces: Iterable[bytes]) -> None:
        if not disk.full:
            return write(path, pieces)
        data = b"".join(pieces)
        write(path, [data[: len(data) // 2]])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch, listening(disk):
        patch.setattr(publish, "_write_durably", write_half_when_full)
        yield


@pytest.mark.slow
def test_a_cache_that_fills_up_again_and_again_holds_each_segment_once_and_gives_the_same_result(
    inputs: Path, tmp_path: Path
) -> None:
    output, cache = tmp_path / "out.mp4", tmp_path / "cache"
    stops = 0
    while committed(cache) < committed(inputs / "cache"):
        before = committed(cache)
        with room_for_one_segment(), pytest.raises(DiskFullError, match=rf"^no space left for the cache in {cache}\."):
            run(inputs, output, cache)
        assert committed(cache) > before
        assert [path.name for path in tmp_path.iterdir()] == ["cache"]
        assert list((cache / ".tmp").iterdir()) == []
        assert verify(cache, quick=False).faults == ()
        stops += 1
    result = run(inputs, output, cache)
    assert stops > len(STAGES)
    assert set(result["segments_computed"].values()) == {0}
    assert set(committed_counts(cache).values()) == {1}
    assert output.read_bytes() == (inputs / "out.mp4").read_bytes()


def test_a_result_that_finds_its_disk_full_says_where_and_is_joined_later_from_what_is_kept(
    inputs: Path, prefect_server: str, small_disk: Path
) -> None:
    output, ballast = small_disk / "out.mp4", fill(small_disk)
    process = start(inputs, output, inputs / "cache", prefect_server)
    _, lines = said(process)
    assert process.returncode == 2
    assert len(lines) == 1, lines
    assert re.fullmatch(rf"error: no space left to write the result in {small_disk}\. Free some, or .*-o.*", lines[0])
    assert list(small_disk.iterdir()) == [ballast]

    ballast.unlink()
    run(inputs, output, inputs / "cache")
    assert_same(output, inputs / "out.mp4")


@pytest.mark.parametrize(("name", "call"), [("out.mp4", "fsync"), ("frames", "fsync"), ("frames", "mkdir")])
def test_a_result_that_does_not_fit_leaves_nothing_and_says_where(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: str
) -> None:
    with monkeypatch.context() as patch:
        refuse_in(tmp_path, call, patch)
        with pytest.raises(DiskFullError, match=rf"^no space left to write the result in {tmp_path}\. Free some, or "):
            run(inputs, tmp_path / name, inputs / "cache")
    assert list(tmp_path.iterdir()) == []
    run(inputs, tmp_path / name, inputs / "cache")
    assert_same(tmp_path / name, inputs / name)


def test_a_cache_on_a_disk_that_is_full_already_is_said(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        refuse_in(tmp_path / "cache", "mkdir", patch)
        with pytest.raises(DiskFullError, match=rf"^no space left for the cache in {tmp_path / 'cache'}\."):
            run(inputs, tmp_path / "out.mp4", tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_does_not_fit_leaves_the_result_whole_and_the_same_run_writes_it_later(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def refuse(path: Path, content: bytes) -> int:
        if len(content) < 100:
            return write(path, content)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    output = tmp_path / "out.mp4"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", refuse)
        with pytest.raises(OutputError, match=r"manifest\.json cannot be written \(No space left.*Free some"):
            run(inputs, output, inputs / "cache")
    assert_same(output, inputs / "out.mp4")
    result = run(inputs, output, inputs / "cache")
    assert Path(result["report"]).exists()
    output.write_bytes(b"somebody else's")
    with pytest.raises(OutputError, match="not written by such a run"):
        run(inputs, output, inputs / "cache")


def refuse_in(folder: Path, call: str, patch: pytest.MonkeyPatch) -> None:
    """Have the system say full to one of its calls, for paths in folder alone."""
    original = getattr(os, call)

    def refuse(target: Path | int, *more: object) -> None:
        path = Path(f"/proc/self/fd/{target}").resolve() if isinstance(target, int) else Path(target)
        if path.is_relative_to(folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(target, *more)

    patch.setattr(os, call, refuse)


def assert_same(made: Path, expected: Path) -> None:
    if expected.is_file():
        assert made.read_bytes() == expected.read_bytes()
        return
    pictures = sorted(path.name for path in expected.iterdir())
    assert sorted(path.name for path in made.iterdir()) == pictures
    assert all((made / name).read_bytes() == (expected / name).read_bytes() for name in pictures)
