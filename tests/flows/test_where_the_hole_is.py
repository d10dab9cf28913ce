"""Whole runs of videos with cuts, and of regions of interest."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import draw_clip, read_frames, write_masks, write_video
from numpy.typing import NDArray

from flows.inpaint import inpaint

CUT = 20


def run(output: Path, video: Path, mask: Path, **settings: Any) -> dict[str, Any]:
    cache = str(output.parent / "cache")
    return inpaint(
        str(video), str(mask), str(output), cache=cache, devices="cpu", settings={"engine": "classical", **settings}
    )


def report_of(output: Path) -> str:
    return (output.with_name(f"{output.name}.report") / "report.html").read_text("utf-8")


def notices(output: Path) -> list[str]:
    """What the report's page says before all else."""
    return [unescape(notice) for notice in re.findall("<li>(.*?)</li>", report_of(output))]


@pytest.mark.usefixtures("prefect_server")
def test_a_shot_comes_out_as_if_it_were_alone(tmp_path: Path) -> None:
    frames, holes = draw_clip(2 * CUT)
    frames[CUT:] = frames[CUT:, ..., ::-1] // 4
    video, mask = write_video(tmp_path / "both.mkv", frames), write_masks(tmp_path / "masks", holes)
    run(tmp_path / "both", video, mask)
    assert any(f"at frame {CUT}." in notice for notice in notices(tmp_path / "both"))
    both = read_frames(tmp_path / "both")
    for name, part in (("first", {"end": CUT}), ("second", {"start": CUT})):
        run(tmp_path / name, video, mask, extract_frames=part)
        np.testing.assert_array_equal(read_frames(tmp_path / name), both[part.get("start", 0) : part.get("end")])
    run(tmp_path / "as_one", video, mask, cuts="off")
    assert (read_frames(tmp_path / "as_one") != both).any()


def draw_small_object(
    truth: NDArray[np.uint8], left_px: int, step_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Frames with a white square of 16 pixels that crosses their middle, and its holes."""
    holes = np.zeros(truth.shape[:3], bool)
    top_px = truth.shape[1] // 2 - 8
    for t, hole in enumerate(holes):
        x_px = left_px + step_px * t
        hole[top_px : top_px + 16, x_px : x_px + 16] = True
    return np.where(holes[..., None], np.uint8(255), truth), holes


@pytest.mark.usefixtures("prefect_server")
def test_a_region_leaves_the_rest_alone_and_fills_the_hole_as_the_whole_frame_does(tmp_path: Path) -> None:
    frames, holes = draw_small_object(draw_clip(12, 200, 328)[0], left_px=150, step_px=2)
    video, mask = write_video(tmp_path / "clip.mkv", frames), write_masks(tmp_path / "masks", holes)
    masks = {"dilation": 0}
    run(tmp_path / "part", video, mask, masks=masks, roi="auto")
    run(tmp_path / "whole", video, mask, masks=masks)
    part, whole = read_frames(tmp_path / "part"), read_frames(tmp_path / "whole")
    np.testing.assert_array_equal(part[~holes], frames[~holes])
    assert np.abs(part[holes].astype(int) - whole[holes]).mean() < 4  # grey levels; the object stands out by 128
    (said,) = (notice for notice in notices(tmp_path / "part") if notice.startswith("Working on"))
    assert "of 328x200 pixels" in said
    assert "Only the bright part of the frame was worked on." in report_of(tmp_path / "part")
    assert "bright part" not in report_of(tmp_path / "whole")
    holes[5, 100:112, 160:170] = True
    edited = run(tmp_path / "edited", video, write_masks(tmp_path / "edit", holes), masks=masks, roi="auto")
    assert edited["segments_computed"]["estimate_flow"] == 0
    again = run(tmp_path / "part", video, mask, masks=masks, roi="auto")
    assert set(again["segments_computed"].values()) == {0}


@pytest.mark.usefixtures("prefect_server")
def test_a_region_that_fits_is_worked_on_at_the_sources_resolution(tmp_path: Path) -> None:
    frames, holes = draw_small_object(draw_clip(12, 200, 328)[0], left_px=150, step_px=2)
    video, mask = write_video(tmp_path / "clip.mkv", frames), write_masks(tmp_path / "masks", holes)
    settings = {"masks": {"dilation": 0}, "roi": "auto"}
    run(tmp_path / "fits", video, mask, **settings, extract_frames={"width": 288, "height": 176})
    assert any("of 328x200 pixels" in notice for notice in notices(tmp_path / "fits"))
    run(tmp_path / "small", video, mask, **settings, extract_frames={"width": 160, "height": 96})
    assert not any(notice.startswith("Working on") for notice in notices(tmp_path / "small"))


@pytest.mark.usefixtures("prefect_server")
def test_a_region_that_pans_leaves_the_rest_alone_and_an_edit_reaches_only_what_is_near(tmp_path: Path) -> None:
    truth, _ = draw_clip(40, 64, 480)
    seen, holes = draw_small_object(truth, left_px=80, step_px=6)
    video, mask = write_video(tmp_path / "clip.mkv", seen), write_masks(tmp_path / "masks", holes)
    settings = {"masks": {"dilation": 0}, "roi": "auto"}
    run(tmp_path / "out", video, mask, **settings)
    (said,) = (notice for notice in notices(tmp_path / "out") if notice.startswith("Working on"))
    assert "256x64 of 480x64" in said
    assert "as they move" in said
    assert "Its middle moved along the line." in report_of(tmp_path / "out")
    result = read_frames(tmp_path / "out")
    np.testing.assert_array_equal(result[~holes], seen[~holes])
    assert np.abs(result[holes].astype(int) - truth[holes]).mean() < 8  # grey levels; the object stands out by 128
    holes[4, 24:40, 68:78] = True
    edited = run(tmp_path / "edited", video, write_masks(tmp_path / "edit", holes), **settings)
    assert set(edited["segments_computed"].values()) == {1}  # of 3 segments of frames, of 3 of flow


@pytest.mark.usefixtures("prefect_server")
def test_a_region_jumps_at_a_cut(tmp_path: Path) -> None:
    frames, _ = draw_clip(2 * CUT, 64, 480)
    frames[CUT:] = frames[CUT:, ..., ::-1] // 4
    holes = np.zeros(frames.shape[:3], bool)
    holes[:CUT, 24:40, 20:36] = True
    holes[CUT:, 24:40, 440:456] = True
    video, mask = write_video(tmp_path / "clip.mkv", frames), write_masks(tmp_path / "masks", holes)
    run(tmp_path / "out", video, mask, masks={"dilation": 0}, roi="auto")
    (said,) = (notice for notice in notices(tmp_path / "out") if notice.startswith("Working on"))
    assert "128x64 of 480x64" in said
    assert "from (0, 0) to (352, 0) as they move" in said
    result = read_frames(tmp_path / "out")
    np.testing.assert_array_equal(result[~holes], frames[~holes])
