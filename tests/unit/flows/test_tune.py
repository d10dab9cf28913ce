"""Settings chosen for a clip on disk, by the functions and by the two commands that use them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import draw_clip, write_masks, write_video

from flows.cli import main
from flows.configuration import load_settings
from flows.tuning import projected_peak_bytes, tune
from propainter.core.errors import MemoryBudgetError, SettingsError
from propainter.core.settings import Engine, Settings
from propainter.core.tuning import VideoMeasures
from propainter.runtime.budget import Budget
from tasks.measure_video import measure_video
from tasks.memory import Job
from tasks.projection import MEMORY_OF, require_memory

FRAMES = 12
Command = Callable[..., tuple[object, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 256x384 whose hole stays in a corner of it, and is there for half of the time."""
    folder = tmp_path_factory.mktemp("tuning")
    frames, _ = draw_clip(FRAMES, 256, 384)
    holes = np.zeros((FRAMES, 256, 384), np.bool_)
    holes[:6, 16:32, 16:32] = True
    write_video(folder / "clip.mkv", frames)
    write_masks(folder / "masks", holes)
    return folder


@pytest.fixture
def command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run


def test_what_is_printed_loads_as_the_settings_that_were_chosen(folder: Path, tmp_path: Path) -> None:
    chosen = tune(folder / "clip.mkv", folder / "masks", {}, memory_gb=6)
    (tmp_path / "tuned.yaml").write_text(chosen.as_yaml())
    settings = load_settings({}, config=tmp_path / "tuned.yaml")
    assert settings == load_settings({}, preset=chosen.settings)
    assert (settings.precision, settings.complete_flow.subvideo_length, settings.roi) == ("fp16", 30, "auto")
    assert "about 50 % of the frames have a hole" in chosen.about[0]


def test_a_hole_that_wanders_over_the_frame_asks_for_a_region_that_follows_it(folder: Path, tmp_path: Path) -> None:
    frames, _ = draw_clip(120, 240, 384)
    holes = np.zeros((120, 240, 384), np.bool_)
    for t, hole in enumerate(holes):
        hole[100:120, 3 * t : 3 * t + 20] = True
    video = write_video(tmp_path / "clip.mkv", frames)
    measures = measure_video(video, write_masks(tmp_path / "masks", holes), Settings())
    assert measures.region_px == (192, 192)


@pytest.mark.parametrize("engine", ["classical", "propainter"])
def test_what_tune_says_a_run_needs_is_where_the_run_is_refused(engine: Engine) -> None:
    measures = VideoMeasures(frames=200, seconds=8.0, height_px=480, width_px=848, motion=0.0)
    settings = Settings(engine=engine)
    needed_bytes = projected_peak_bytes(measures, settings, "cpu")
    job = Job(frames=200, height_px=480, width_px=848, settings=settings, device="cpu")
    require_memory(job, Budget(ram_bytes=needed_bytes, device_bytes=None), MEMORY_OF)
    with pytest.raises(MemoryBudgetError):
        require_memory(job, Budget(ram_bytes=needed_bytes - 1, device_bytes=None), MEMORY_OF)


def test_the_users_own_settings_are_kept_and_printed(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "refine_frames: {ref_stride: 3}\nencode_video: {keep_size: false}\nextract_frames: {start: 0:0.1}\n"
    )
    chosen = tune(folder / "clip.mkv", None, {"precision": "bf16"}, config=mine, memory_gb=6)
    assert "ref_stride" not in chosen.settings["refine_frames"]
    assert "precision" not in chosen.settings
    (tmp_path / "tuned.yaml").write_text(chosen.as_yaml())
    settings = load_settings({}, config=tmp_path / "tuned.yaml")
    assert settings == load_settings({"precision": "bf16"}, preset=chosen.settings, config=mine)
    assert (settings.refine_frames.ref_stride, settings.refine_frames.neighbor_length) == (3, 5)


def test_where_memory_is_short_the_neighbours_go_before_the_size_and_a_comment_says_so(folder: Path) -> None:
    roomy = tune(folder / "clip.mkv", None, {"precision": "fp32"}, memory_gb=16)
    assert roomy.settings["extract_frames"]["resize_ratio"] == 1.0
    short = tune(folder / "clip.mkv", None, {"precision": "fp32"}, memory_gb=0.7)
    assert short.settings["refine_frames"]["neighbor_length"] == 3
    assert short.settings["extract_frames"]["resize_ratio"] < 1
    assert "1.0 would take" in short.as_yaml()
    assert "it will not fit" not in short.as_yaml()
    assert "it will not fit" in tune(folder / "clip.mkv", None, {}, memory_gb=0.1).as_yaml()


def test_a_memory_of_nothing_is_refused(folder: Path) -> None:
    with pytest.raises(SettingsError, match="gpu_memory is 0"):
        tune(folder / "clip.mkv", None, {}, memory_gb=0)


def test_the_command_prints_a_file_that_inpaint_takes(command: Command, folder: Path) -> None:
    status, printed, _ = command("tune", "clip.mkv", "--mask", "masks", "--gpu_memory", "12")
    assert status == 0
    (folder / "tuned.yaml").write_text(printed)
    assert printed.startswith("# clip.mkv: 12 frames in 0.5 s, worked on at 384x256")
    assert "# For a GPU with 12 GB of memory." in printed
    inpaint = ("inpaint", "clip.mkv", "--mask", "masks", "-o", "out.mp4", "--cache", "cache", "--dry-run")
    status, _, error = command(*inpaint, "--engine", "classical", "--config", "tuned.yaml")
    assert (status, error) == (0, "")


def test_preset_auto_chooses_in_place_and_says_what_and_why(command: Command) -> None:
    inpaint = ("inpaint", "clip.mkv", "--mask", "masks", "-o", "out.mp4", "--cache", "cache", "--dry-run")
    status, printed, _ = command(*inpaint, "--preset", "auto", "--subvideo-length", "33")
    assert status == 0
    assert "Chosen: roi auto (the holes and their surroundings are" in printed
    assert "subvideo_length" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("nothing.mkv",), "no video nothing.mkv"), (("clip.mkv", "--mask", "none.png"), "no mask none.png")],
)
def test_what_is_not_there_is_named(command: Command, arguments: tuple[str, ...], message: str) -> None:
    status, _, error = command("tune", *arguments)
    assert status == 2
    assert message in error
