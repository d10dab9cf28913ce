"""What is measured and how it is shown; one small run of the command with all of it."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import draw_clip, write_frames, write_video
from PIL import Image
from rich.console import Console
from rich.table import Table

from flows.bench import Measurement
from flows.bench_clip import hole_ssim, make_clip
from flows.bench_report import Bench, as_svg, presets_table, sizes_table
from flows.cli import main
from propainter.core.errors import MediaError
from propainter.core.frames import FrameRange
from propainter.media.source import open_source

Command = Callable[..., tuple[object, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as ended:
            main(("bench", *arguments))
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run


def row(name: str, seconds_per_frame: float, peak_bytes: int | None = 2**29) -> Measurement:
    return Measurement(
        name=name, precision="fp32", height_px=240, width_px=432, seconds_per_frame=seconds_per_frame,
        peak_bytes=peak_bytes, hole_psnr_db=31.256, hole_ssim=0.9,
    )  # fmt: skip


def shown(table: Table) -> list[list[str]]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table)
    lines = (line.split() for line in capture.get().splitlines())
    return [words for words in lines if words and not words[0].startswith("─")]


@pytest.mark.slow
def test_a_small_run_gives_both_tables_as_data_and_as_a_picture(command: Command, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mkv", draw_clip(6, 96, 128)[0])
    status, printed, said = command(
        "clip.mkv", "--frames", "3", "--engine", "classical", "--devices", "cpu", "--sizes", "64x48", "8x8",
        "--presets", "draft", "--json", "figures.json", "--plot", "figures.svg",
    )  # fmt: skip
    assert status == 0
    assert "Engine classical on the CPU" in printed
    assert "the first 3 frames of clip.mkv, 128x96" in printed
    assert "8x8 fp32 was not measured: " in printed
    assert said.splitlines() == ["Measuring 64x48 fp32.", "Measuring 8x8 fp32.", "Measuring draft."]
    figures = json.loads((tmp_path / "figures.json").read_text())
    (size,), (preset,) = figures["sizes"], figures["presets"]
    assert (size["name"], size["width_px"], size["height_px"]) == ("64x48 fp32", 64, 48)
    assert (preset["name"], preset["width_px"], preset["height_px"]) == ("draft", 64, 48)
    for measured in (size, preset):
        assert measured["seconds_per_frame"] > 0
        assert 0 < measured["peak_bytes"] < 2**30
        assert 5 < measured["hole_psnr_db"] < 60  # filled by no more than guessing, yet not black
        assert 0 < measured["hole_ssim"] < 1
    assert list(figures["refused"]) == ["8x8 fp32"]
    assert "draft" in "".join(ET.fromstring((tmp_path / "figures.svg").read_text()).itertext())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.mp4",), "no video nothing.mp4"),
        (("--frames", "1"), "frames is 1. Give 2"),
        (("--sizes", "432"), "'432' is no size"),
        (("--presets", "drft"), "no preset 'drft'. Did you mean draft"),
        (("--json", "figures.txt"), r"figures.txt is no name .* ends in .json"),
        (("--plot", "figures.png"), r"figures.png is no name .* ends in .svg"),
        (("--engine", "propainter", "--weights", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(command: Command, arguments: tuple[str, ...], message: str) -> None:
    status, printed, error = command(*arguments)
    assert (status, printed) == (2, "")
    (line,) = error.splitlines()
    assert line.startswith("error: ")
    assert re.search(message, line)


def test_the_clip_is_the_videos_first_frames_with_a_hole_in_each(tmp_path: Path) -> None:
    frames, _ = draw_clip(5, 96, 128)
    clip = make_clip(write_video(tmp_path / "clip.mkv", frames), 3, tmp_path)
    assert (clip.frames, clip.height_px, clip.width_px) == (3, 96, 128)
    with open_source(tmp_path / "frames") as source:
        np.testing.assert_array_equal(source.read(FrameRange(0, 3)), frames[:3])
    masks = [np.asarray(Image.open(tmp_path / "masks" / f"{index:05}.png")) for index in range(3)]
    assert [mask.sum() for mask in masks] == [23 * 24] * 3  # 80x60 of 432x240, scaled to 128x96


def test_a_single_frame_is_no_clip(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="has 1 frame"):
        make_clip(write_frames(tmp_path / "one", draw_clip(1)[0]), 16, tmp_path)


def test_the_holes_similarity_is_that_of_its_box_alone() -> None:
    truth = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    holes = np.zeros((2, 32, 32), np.bool_)
    holes[0, 8:20, 8:20] = True
    outside, inside = truth.copy(), truth.copy()
    outside[:, :8], inside[0, 10:18, 10:18] = 0, 0
    assert hole_ssim(outside, truth, holes) == pytest.approx(1)
    assert hole_ssim(inside, truth, holes) < 0.6


def test_speed_is_relative_to_balanced() -> None:
    table = shown(presets_table([row("draft", 0.1), row("balanced", 0.2), row("ultra", 0.8)]))
    assert table[1] == ["draft", "432x240", "fp32", "0.100", "2.00x", "0.50", "GB", "31.26", "0.900"]
    assert [line[4] for line in table[1:]] == ["2.00x", "1.00x", "0.25x"]
    assert "2.00x" not in shown(presets_table([row("draft", 0.1)]))[1]


def test_memory_that_the_system_does_not_tell_is_unknown_and_has_no_bar() -> None:
    assert shown(sizes_table([row("432x240 fp32", 0.1, None)]))[1][-1] == "unknown"
    with_bar = as_svg(Bench(about="a", sizes=(row("a", 1),), presets=(), refused={}))
    without = as_svg(Bench(about="a", sizes=(row("a", 1, None),), presets=(), refused={}))
    assert with_bar.count("<rect") - without.count("<rect") == 1


def test_the_longest_bar_is_the_greatest_value_and_a_name_is_text() -> None:
    drawn = ET.fromstring(
        as_svg(Bench(about="<clip> & more", sizes=(), presets=(row("a", 1.0), row("b", 4.0)), refused={}))
    )
    widths = [float(bar.attrib["width"]) for bar in drawn.iter("{http://www.w3.org/2000/svg}rect") if "x" in bar.attrib]
    assert widths[1] == 4 * widths[0]
    assert "<clip> & more" in "".join(drawn.itertext())
