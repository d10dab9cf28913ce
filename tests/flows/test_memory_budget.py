"""The command and the memory that it may use: what it says, and what it refuses."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clips import draw_clip, write_masks, write_video

from flows.cli import main
from flows.inpaint import inpaint
from propainter.core.errors import MemoryBudgetError


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """`propainter inpaint` on twelve frames."""
    frames, holes = draw_clip(12)
    video, masks = write_video(tmp_path / "clip.mkv", frames), write_masks(tmp_path / "masks", holes)
    return [
        "inpaint", str(video), "--mask", str(masks), "-o", str(tmp_path / "out.mkv"), "--cache",
        str(tmp_path / "cache"), "--devices", "cpu", "--engine", "classical", "--codec", "ffv1",
    ]  # fmt: skip


def test_a_run_that_would_not_fit_is_one_line_and_leaves_nothing_behind(
    arguments: list[str], tmp_path: Path, prefect_server: str
) -> None:
    command = [sys.executable, "-m", "flows.cli", *arguments, "--quiet", "--memory-fraction", "1e-9"]
    environment = os.environ | {"PREFECT_API_URL": prefect_server}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert re.fullmatch(r"error: estimate_flow needs [\d.]+ MB of RAM at 64x48 on cpu, .*--memory-fraction\.", lines[0])
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mkv", "masks", "cache"}
    assert list((tmp_path / "cache").glob("v*/*/*/*/[bc].*")) == []


@pytest.mark.usefixtures("prefect_server", "arguments")
def test_memory_that_runs_out_in_the_middle_ends_the_run_and_what_was_computed_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stage(*_: object, **__: object) -> None:
        raise MemoryError

    def run() -> dict[str, Any]:
        video, masks, output, cache = (str(tmp_path / name) for name in ("clip.mkv", "masks", "out.mkv", "cache"))
        settings = {"engine": "classical", "encode_video": {"codec": "ffv1"}}
        return inpaint(video, masks, output, settings, cache=cache, devices="cpu")

    with monkeypatch.context() as patched:
        patched.setattr("tasks.complete_flow.stage", stage)
        with pytest.raises(MemoryBudgetError, match="complete_flow ran out of memory on cpu"):
            run()
    assert run()["segments_reused"]["estimate_flow"] == 1


def dry_run(arguments: list[str], capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int | str | None, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--dry-run", *more])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def test_a_dry_run_shows_what_each_stage_needs(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = dry_run(arguments, capsys)
    assert status == 0
    assert "memory, cpu" in out
    for stage in ("estimate_flow", "complete_flow", "propagate_pixels", "refine_frames"):
        assert re.search(rf"{stage}.*\d MB of RAM", out), out


def test_a_dry_run_refuses_what_the_run_would(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = dry_run(arguments, capsys, "--memory-fraction", "1e-9")
    assert status == 2
    assert "memory, cpu" in out
    assert err.startswith("error: estimate_flow needs ")
