"""`inpaint --dry-run`: it says what the run then does, and leaves the cache as it was."""

import re
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from clips import draw_clip, write_masks, write_video

from flows.cli import main
from flows.inpaint import inpaint
from flows.progress import LogProgress, listening
from tasks.plan import STAGES

FRAMES = 40


class Counted(LogProgress):
    """Frames that a run computed, by stage."""

    def __init__(self) -> None:
        self.frames: Counter[str] = Counter()

    def computed(self, stage: str, segment: int, frames: int) -> None:
        self.frames[stage] += frames


def dry_run(folder: Path, mask: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """Frames to compute, by stage, as the table says."""
    with pytest.raises(SystemExit) as ended:
        main([
            "inpaint", str(folder / "clip.mkv"), "--mask", str(mask), "-o", str(folder / "out.mp4"), "--devices", "cpu",
            "--cache", str(folder / "cache"), "--engine", "classical", "--subvideo-length", "20", "--dry-run",
        ])  # fmt: skip
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    rows = {stage: re.search(rf"{stage}\D+(\d+)", printed) for stage in STAGES}
    return {stage: int(row[1]) for stage, row in rows.items() if row}


def real_run(folder: Path, mask: Path) -> dict[str, int]:
    settings = {"engine": "classical", "complete_flow": {"subvideo_length": 20}}
    cache, output = str(folder / "cache"), str(folder / "out.mp4")
    with listening(counted := Counted()):
        inpaint(str(folder / "clip.mkv"), str(mask), output, settings, cache=cache, devices="cpu")
    return {stage: counted.frames[stage] for stage in STAGES}


def listing(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_ino) for path in folder.rglob("*")}


@pytest.mark.usefixtures("prefect_server")
def test_a_dry_run_says_what_the_run_computes_and_changes_nothing_in_the_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames, holes = draw_clip(FRAMES)
    write_video(tmp_path / "clip.mkv", frames)
    mask = write_masks(tmp_path / "masks", holes)
    edited_holes = holes.copy()
    edited_holes[-1] = np.roll(holes[-1], 5, axis=0)
    edited = write_masks(tmp_path / "edited", edited_holes)

    first = dry_run(tmp_path, mask, capsys)
    assert list((tmp_path / "cache").glob("v*/*")) == []
    assert first == real_run(tmp_path, mask)
    assert set(dry_run(tmp_path, mask, capsys).values()) == {0}

    before = listing(tmp_path / "cache")
    after_edit = dry_run(tmp_path, edited, capsys)
    assert listing(tmp_path / "cache") == before
    assert 0 < after_edit["complete_flow"] < first["complete_flow"]
    assert after_edit == real_run(tmp_path, edited)


def test_a_dry_run_names_the_size_that_is_worked_on_once_cuts_are_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames, _ = draw_clip(20, 64, 480)
    frames[10:] = frames[10:, ..., ::-1] // 4
    holes = np.zeros(frames.shape[:3], bool)
    holes[:10, 24:40, 20:36] = True
    holes[10:, 24:40, 440:456] = True
    video, masks = write_video(tmp_path / "clip.mkv", frames), write_masks(tmp_path / "masks", holes)
    with pytest.raises(SystemExit):
        main([
            "inpaint", str(video), "--mask", str(masks), "-o", str(tmp_path / "out.mp4"), "--mask-dilation", "0",
            "--cache", str(tmp_path / "cache"), "--engine", "classical", "--roi", "auto", "--dry-run",
        ])  # fmt: skip
    printed = capsys.readouterr().out
    assert "Working on 128x64 of 480x64" in printed
    assert "classical engine on cpu at 128x64;" in printed


@pytest.mark.parametrize(
    ("gpus", "workers", "message"),
    [
        (0, "3", "classical engine on cpu, cpu, cpu at"),
        (0, "0", "num_workers is 0. Give 1 to 16"),
        (1, "3", "num_workers is for the CPU, not for auto"),
    ],
)
def test_num_workers_names_the_cpu_so_often(
    gpus: int, workers: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames, holes = draw_clip(2)
    video, masks = write_video(tmp_path / "clip.mkv", frames), write_masks(tmp_path / "masks", holes)
    with patch("torch.cuda.device_count", return_value=gpus), pytest.raises(SystemExit):
        main([
            "inpaint", str(video), "--mask", str(masks), "-o", str(tmp_path / "out.mp4"), "--cache",
            str(tmp_path / "cache"), "--engine", "classical", "--num_workers", workers, "--dry-run",
        ])  # fmt: skip
    assert message in "".join(capsys.readouterr())
