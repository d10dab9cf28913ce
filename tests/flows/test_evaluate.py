"""Whole evaluations: of results, and of an engine on clips with holes."""

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from clips import draw_clip, read_frames, write_frames, write_masks

from cache.journal import committed_counts
from flows.commands import evaluate as command
from flows.commands import serving
from flows.evaluate import evaluate
from propainter.core.errors import OutputError, SettingsError
from propainter.core.frames import FrameRange
from propainter.metrics.completion_task import draw_holes
from propainter.metrics.e_warp import e_warp
from propainter.metrics.psnr import psnr_db, squared_error
from propainter.models.classical.dis import dis_flow

FRAMES, HEIGHT_PX, WIDTH_PX = 10, 48, 64
"""Two tiles of frames, so that a pair lies across them."""

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """truth/ with two clips, results/ for both, each off by one grey level in a hole of 8x10 pixels, and the masks."""
    for name in ("truth", "results", "masks"):
        (tmp_path / name).mkdir()
    frames, _ = draw_clip(FRAMES, HEIGHT_PX, WIDTH_PX)
    hole = np.zeros((FRAMES, HEIGHT_PX, WIDTH_PX), bool)
    hole[:, 20:28, 30:40] = True
    for name, flipped in (("bear", frames), ("cat", frames[:, :, ::-1].copy())):
        write_frames(tmp_path / "truth" / name, flipped)
        write_frames(tmp_path / "results" / name, np.where(hole[..., None], flipped ^ 1, flipped))
        write_masks(tmp_path / "masks" / name, hole)
    return tmp_path


def run(folder: Path, **more: Any) -> dict[str, Any]:
    return evaluate(str(folder / "truth"), str(folder / "out"), ssim_window=7, devices="cpu", **more)


def figures(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "out" / "clips.csv").open() as file:
        return {row["clip"]: row for row in csv.DictReader(file)}


def test_results_are_scored_inside_the_hole_and_on_the_whole_frame(folder: Path) -> None:
    done = run(folder, results=str(folder / "results"), masks=str(folder / "masks"))
    one_level_db = 20 * np.log10(255)
    for name in ("bear", "cat", "(all)"):
        row = figures(folder)[name]
        assert float(row["hole_psnr_db"]) == pytest.approx(one_level_db, rel=1e-6)
        share = 80 / (HEIGHT_PX * WIDTH_PX)
        assert float(row["psnr_db"]) == pytest.approx(one_level_db - 10 * np.log10(share), rel=1e-6)
        assert 0.9 < float(row["ssim_7"]) < 1
    assert done["failed"] == {}
    assert Path(done["page"]).read_text().count("<section") == 2


def test_every_frame_and_every_pair_is_scored_as_in_the_whole_clip(folder: Path) -> None:
    flicker = np.random.default_rng(0).integers(0, 30, (FRAMES, 1, 1, 3), dtype=np.uint8)
    truth = read_frames(folder / "truth" / "bear")
    write_frames(folder / "results" / "flickering", np.minimum(truth, 225) + flicker)
    evaluate(str(folder / "truth" / "bear"), str(folder / "out"), results=str(folder / "results" / "flickering"),
             ssim_window=7)  # fmt: skip
    result = read_frames(folder / "results" / "flickering")
    with (folder / "out" / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["psnr_db"]) for row in rows], psnr_db(*squared_error(result, truth)))
    expected = e_warp(result, dis_flow(truth))
    np.testing.assert_allclose([float(row["e_warp"]) for row in rows[:-1]], expected, rtol=1e-6)
    assert rows[-1]["e_warp"] == ""
    assert expected.max() > 2 * expected.min()


def test_a_clip_that_cannot_be_scored_is_named_with_its_reason_and_stops_nothing(folder: Path) -> None:
    (folder / "results" / "bear" / "00009.png").unlink()
    write_frames(folder / "results" / "stray", draw_clip(2)[0])
    done = run(folder, results=str(folder / "results"))
    assert "9 frames, the truth 10" in done["failed"]["bear"]
    assert "no clip of this name" in done["failed"]["stray"]
    rows = figures(folder)
    assert rows["cat"]["frames"] == rows["(all)"]["frames"] == "10"
    assert rows["cat"]["hole_psnr_db"] == ""
    assert rows["bear"]["failed"] == done["failed"]["bear"]


def test_truth_of_another_size_is_scaled_to_the_result(folder: Path) -> None:
    truth = read_frames(folder / "truth" / "bear")
    half = np.stack([cv2.resize(frame, (30, 22), interpolation=cv2.INTER_LINEAR) for frame in truth])
    write_frames(folder / "half", half)
    evaluate(str(folder / "truth" / "bear"), str(folder / "out"), results=str(folder / "half"),
             masks=str(folder / "masks" / "bear"), ssim_window=7)  # fmt: skip
    assert float(figures(folder)["bear"]["psnr_db"]) == float(figures(folder)["bear"]["hole_psnr_db"]) == 100


def test_an_engine_fills_drawn_holes_and_a_second_evaluation_computes_nothing(folder: Path) -> None:
    asked = {"engine": "classical", "settings": {"masks": {"dilation": 0}}, "cache": str(folder / "cache")}
    done = run(folder, **asked)
    hole = draw_holes("moving", FrameRange(0, FRAMES), HEIGHT_PX, WIDTH_PX)
    filled = read_frames(folder / "out" / "clips" / "bear" / "result")
    truth = read_frames(folder / "truth" / "bear")
    np.testing.assert_array_equal(filled[~hole], truth[~hole])
    assert (filled[hole] != truth[hole]).any()
    error = np.square(filled[hole].astype(int) - truth[hole]).mean()
    assert float(figures(folder)["bear"]["hole_psnr_db"]) == pytest.approx(10 * np.log10(255**2 / error), rel=1e-6)
    first = (folder / "out" / "frames.csv").read_bytes()
    again = run(folder, **asked)
    assert again == done
    assert (folder / "out" / "frames.csv").read_bytes() == first
    assert max(committed_counts(folder / "cache").values()) == 1


def test_an_engine_gets_frames_of_the_size_that_is_evaluated_and_the_masks_that_are_given(folder: Path) -> None:
    settings = {"extract_frames": {"width": 48, "height": 32}, "masks": {"dilation": 0}}
    done = run(folder, engine="classical", settings=settings, masks=str(folder / "masks"), cache=str(folder / "cache"))
    assert done["failed"] == {}
    made = folder / "out" / "clips" / "cat"
    truth = read_frames(folder / "truth" / "cat")
    scaled = cv2.resize(truth[3], (48, 32), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(read_frames(made / "frames")[3], scaled)
    hole = read_frames(made / "masks")[3, ..., 0] > 0
    result = read_frames(made / "result")
    assert result.shape == (FRAMES, 32, 48, 3)
    np.testing.assert_array_equal(result[3][~hole], scaled[~hole])
    assert hole.sum() == pytest.approx(80 * (48 / WIDTH_PX) * (32 / HEIGHT_PX), abs=8)


def test_a_broken_clip_does_not_stop_the_engine(folder: Path) -> None:
    picture = folder / "truth" / "bear" / "00002.png"
    picture.write_bytes(picture.read_bytes()[:100])
    done = run(folder, engine="classical", cache=str(folder / "cache"))
    assert "00002.png" in done["failed"]["bear"]
    assert figures(folder)["cat"]["frames"] == "10"


def test_clips_without_a_result_are_left_out_and_said_to_be(folder: Path) -> None:
    (folder / "results" / "cat").rename(folder / "elsewhere")
    done = run(folder, results=str(folder / "results"))
    assert done["notes"] == ("Left out, being without a result or masks: cat.",)
    assert "Left out" in Path(done["page"]).read_text()


class Moments(torch.nn.Module):
    """Stands in for I3D: three features of a clip."""

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return torch.stack([clip.mean(), clip.std(), clip[:, 0].mean()])[None]


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_vfid_compares_all_clips_at_once(folder: Path) -> None:
    torch.jit.save(torch.jit.trace(Moments(), torch.zeros(1, 3, 4, 8, 8)), str(folder / "i3d.pt"))
    run(folder, results=str(folder / "results"), i3d=str(folder / "i3d.pt"))
    far = float(figures(folder)["(all)"]["vfid"])
    run(folder, results=str(folder / "truth"), i3d=str(folder / "i3d.pt"))
    same = float(figures(folder)["(all)"]["vfid"])
    assert abs(same) < 1e-9 < far < 1e-3


def test_a_folder_with_somebodys_files_is_refused(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "thesis.tex").touch()
    with pytest.raises(OutputError, match="no evaluation wrote"):
        run(folder, results=str(folder / "results"))


@pytest.mark.parametrize("sides", [{}, {"results": "results", "engine": "classical"}])
def test_results_and_an_engine_exclude_each_other(folder: Path, sides: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"Give RESULTS, or --engine\."):
        run(folder, **{name: str(folder / side) if name == "results" else side for name, side in sides.items()})


class NoServer:
    """The session's server runs already."""

    def __init__(self, home: Path, *, keep: bool) -> None: ...

    def __enter__(self) -> "NoServer":
        return self

    def __exit__(self, *error: object) -> None: ...

    def wait(self) -> None: ...


@pytest.mark.parametrize(("broken", "status"), [(False, 0), (True, 3)])
def test_the_command_tells_the_figures_and_leaves_with_3_where_a_clip_failed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: bool, status: int
) -> None:
    monkeypatch.setattr(serving, "LocalServer", NoServer)
    monkeypatch.setattr(serving, "server_home", lambda: folder / "server")
    if broken:
        (folder / "results" / "bear" / "00009.png").unlink()
    left = command.evaluate(
        folder / "results", truth=folder / "truth", output=folder / "out", ssim_window=7, masks=folder / "masks"
    )
    printed = capsys.readouterr()
    assert left == status
    assert "PSNR" in printed.out
    assert str(folder / "out" / "evaluation.html") in printed.out
    assert ("bear failed: " in printed.err) == broken
