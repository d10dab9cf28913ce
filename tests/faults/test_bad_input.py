"""What users get wrong: one clear line, exit status 2, and nothing half-made, from the command's own entry point."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import draw_clip, write_frames, write_masks, write_video

from flows.cli import main

FRAMES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    frames, holes = draw_clip(FRAMES)
    write_video(folder / "clip.mkv", frames)
    write_masks(folder / "masks", holes)
    write_masks(folder / "masks-five", holes[:5])
    write_frames(folder / "tiny", frames[:, :12])
    (folder / "no-images").mkdir()
    (folder / "text.mp4").write_text("not a video\n" * 100)
    write_video(folder / "whole.mp4", frames, codec="libx264")
    (folder / "truncated.mp4").write_bytes((folder / "whole.mp4").read_bytes()[:-2000])
    write_video(folder / "zero.mkv", frames[:0])
    (folder / "foreign.mp4").write_text("somebody's own file")
    (folder / "preset.yaml").write_text("masks:\n  dilaton: 3\n")
    return folder


@dataclass(frozen=True, kw_only=True)
class Ended:
    status: int | str | None
    stdout: str
    stderr: str


Run = Callable[..., Ended]


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`propainter inpaint ... --dry-run` in the folder of inputs."""

    def inpaint(*arguments: str) -> Ended:
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit) as ended:
            main(["inpaint", *arguments, "--cache", str(folder / "cache"), "--dry-run"])
        printed = capsys.readouterr()
        return Ended(status=ended.value.code, stdout=printed.out, stderr=printed.err)

    return inpaint


GOOD = ("clip.mkv", "--mask", "masks", "-o", "out.mp4")
OUTPAINTING = ("clip.mkv", "-o", "out.mp4", "--mode", "outpainting")

BAD = {
    "a missing file": (("nothing.mp4", *GOOD[1:]), r"nothing\.mp4"),
    "a folder without images": (("no-images", *GOOD[1:]), r"no-images"),
    "a text file named .mp4": (("text.mp4", *GOOD[1:]), r"text\.mp4"),
    "a truncated video": (("truncated.mp4", *GOOD[1:]), r"truncated\.mp4"),
    "no frames": (("zero.mkv", *GOOD[1:]), r"zero\.mkv"),
    "sides under the minimum": (("tiny", *GOOD[1:]), r"64x12 is too small.*--width"),
    "a missing mask": (("clip.mkv", "--mask", "none.png", "-o", "out.mp4"), r"none\.png"),
    "no mask": (("clip.mkv", "-o", "out.mp4"), "--mask is missing.*--mode outpainting"),
    "a mask in outpainting": ((*GOOD, "--mode", "outpainting"), "masks is given.*--mode outpainting"),
    "a canvas smaller than the frame": ((*OUTPAINTING, "--scale_h", "0.9"), "scale_h is 0.9"),
    "a canvas that adds nothing": ((*OUTPAINTING, "--scale_w", "1.1"), "scale_w 1.1 add nothing to 64x48"),
    "a canvas without outpainting": ((*GOOD, "--scale-w", "1.5"), "scale_w.*--mode outpainting"),
    "another number of masks": (("clip.mkv", "--mask", "masks-five", "-o", "out.mp4"), "5 masks for 6 frames"),
    "an output that exists": (("clip.mkv", "--mask", "masks", "-o", "foreign.mp4"), r"foreign\.mp4.*--overwrite"),
    "the video as output": (("clip.mkv", "--mask", "masks", "-o", "clip.mkv"), "is the video itself"),
    "no such output folder": (("clip.mkv", "--mask", "masks", "-o", "nowhere/out.mp4"), "no folder.*nowhere"),
    "an unknown suffix": (("clip.mkv", "--mask", "masks", "-o", "out.gif"), r"\.gif.*\.mp4"),
    "a codec that does not fit": ((*GOOD, "--codec", "ffv1"), "ffv1 cannot be written to out.mp4"),
    "an unknown option": ((*GOOD, "--mask-dilaton", "3"), "mask-dilation"),
    "an unknown preset": ((*GOOD, "--preset", "drft"), "Did you mean draft"),
    "an unknown key in a file": ((*GOOD, "--config", "preset.yaml"), "masks.dilaton. Did you mean dilation"),
    "a value out of range": ((*GOOD, "--mask-dilation", "-1"), "mask_dilation is -1"),
    "an unknown device": ((*GOOD, "--devices", "tpu"), "'tpu'"),
    "a GPU that is not there": ((*GOOD, "--devices", "cuda:7"), "cuda:7"),
    "frames that are not there": ((*GOOD, "--start", "100"), "6 frames"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_and_status_2(folder: Path, run: Run, case: str) -> None:
    arguments, message = BAD[case]
    before = sorted(path.name for path in folder.iterdir())
    done = run(*arguments)
    assert done.status == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert re.search(message, lines[0]), lines[0]
    assert sorted(path.name for path in folder.iterdir() if path.name != "cache") == [n for n in before if n != "cache"]


def test_options_are_taken_with_underscores_too(run: Run) -> None:
    done = run(*GOOD, "--subvideo_length", "4", "--mask_dilation=2")
    assert done.status == 0, done.stderr
    assert "encode_video" in done.stdout


def test_outpainting_takes_no_mask_and_works_at_the_size_of_the_canvas(run: Run) -> None:
    done = run(*OUTPAINTING, "--scale_h", "1.5")
    assert done.status == 0, done.stderr
    assert "at 72x72" in done.stdout


def test_masks_of_another_size_are_scaled_and_it_is_said(folder: Path, run: Run) -> None:
    cv2.imwrite(str(folder / "large.png"), np.full((96, 128), 255, np.uint8))
    done = run("clip.mkv", "--mask", "large.png", "-o", "out.mp4")
    assert done.status == 0
    assert "128x96" in done.stdout
    assert "64x48" in done.stdout


def test_a_dry_run_writes_no_result(folder: Path, run: Run) -> None:
    assert run(*GOOD).status == 0
    assert not (folder / "out.mp4").exists()


def test_an_output_folder_that_may_not_be_written_to_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from propainter.core.errors import OutputError
    from tasks.output import Output

    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(OutputError, match="may not be written to"):
        Output(path=folder / "out.mp4").check(folder / "clip.mkv", overwrite=False, is_ours=lambda: False)
