"""Whole runs of the flow: what comes out, and what a second run pays for."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clips import draw_clip, read_frames, write_frames, write_masks, write_video

from cache.journal import committed_counts
from flows.inpaint import inpaint
from propainter.media.source import open_source

FRAMES = 20


@pytest.fixture
def clip(tmp_path: Path) -> dict[str, Any]:
    frames, holes = draw_clip(FRAMES)
    return {
        "frames": frames,
        "holes": holes,
        "video": str(write_video(tmp_path / "clip.mkv", frames)),
        "mask": str(write_masks(tmp_path / "masks", holes)),
        "cache": str(tmp_path / "cache"),
    }


def run(clip: dict[str, Any], output: Path, mask: str | None = None, **more: Any) -> dict[str, Any]:
    return inpaint(clip["video"], mask or clip["mask"], str(output), cache=clip["cache"], devices="cpu", **more)


def computed(result: dict[str, Any]) -> set[str]:
    return {stage for stage, segments in result["segments_computed"].items() if segments}


@pytest.mark.usefixtures("prefect_server")
def test_the_object_is_gone_and_every_pixel_outside_the_mask_is_the_sources(
    clip: dict[str, Any], tmp_path: Path
) -> None:
    result = run(clip, tmp_path / "out", settings={"masks": {"dilation": 2}})
    filled = read_frames(tmp_path / "out")
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    dilated = np.stack([cv2.dilate(hole.astype(np.uint8), cross, iterations=2) > 0 for hole in clip["holes"]])
    np.testing.assert_array_equal(filled[~dilated], clip["frames"][~dilated])
    assert (filled[clip["holes"]] == 255).all(axis=1).mean() < 0.02
    assert Path(result["report"]).read_text().startswith("<!doctype html>")
    manifest = json.loads((tmp_path / "out.report" / "manifest.json").read_text())
    assert {stage["stage"]: stage["segments_computed"] for stage in manifest["stages"]}["estimate_flow"] == 2


@pytest.mark.usefixtures("prefect_server")
def test_a_second_run_computes_nothing_and_writes_the_same_bytes(clip: dict[str, Any], tmp_path: Path) -> None:
    run(clip, tmp_path / "out.mp4")
    first = (tmp_path / "out.mp4").read_bytes()
    again = run(clip, tmp_path / "out.mp4")
    assert computed(again) == set()
    assert (tmp_path / "out.mp4").read_bytes() == first


@pytest.mark.usefixtures("prefect_server")
def test_another_mask_reuses_all_flow_and_another_crf_all_but_the_encoding(
    clip: dict[str, Any], tmp_path: Path
) -> None:
    run(clip, tmp_path / "out.mp4")
    moved = write_masks(tmp_path / "moved", np.roll(clip["holes"], 5, axis=1))
    other_mask = run(clip, tmp_path / "moved.mp4", mask=str(moved))
    assert computed(other_mask) == {"complete_flow", "propagate_pixels", "refine_frames", "encode_video"}
    other_crf = run(clip, tmp_path / "small.mp4", settings={"encode_video": {"crf": 30}})
    assert computed(other_crf) == {"encode_video"}
    assert max(committed_counts(Path(clip["cache"])).values()) == 1


@pytest.mark.usefixtures("prefect_server")
def test_a_video_changed_in_one_frame_reuses_nothing(clip: dict[str, Any], tmp_path: Path) -> None:
    run(clip, tmp_path / "out.mp4")
    clip["frames"][7, 0, 0] ^= 1
    clip["video"] = str(write_video(tmp_path / "changed.mkv", clip["frames"]))
    changed = run(clip, tmp_path / "changed.mp4")
    assert all(segments == 0 for segments in changed["segments_reused"].values())


@pytest.mark.usefixtures("prefect_server")
def test_fresh_computes_everything_anew_and_the_result_is_the_same(clip: dict[str, Any], tmp_path: Path) -> None:
    run(clip, tmp_path / "out.mp4")
    first = (tmp_path / "out.mp4").read_bytes()
    fresh = run(clip, tmp_path / "out.mp4", fresh=True)
    assert all(segments == 0 for segments in fresh["segments_reused"].values())
    assert (tmp_path / "out.mp4").read_bytes() == first


@pytest.mark.usefixtures("prefect_server")
def test_an_empty_mask_gives_a_copy_and_says_so(clip: dict[str, Any], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((48, 64), np.uint8))
    result = run(clip, tmp_path / "out", mask=str(tmp_path / "empty.png"))
    assert computed(result) == {"encode_video"}
    np.testing.assert_array_equal(read_frames(tmp_path / "out"), clip["frames"])
    manifest = json.loads((tmp_path / "out.report" / "manifest.json").read_text())
    assert "marks nothing: the result is a copy" in manifest["notices"][0]


@pytest.mark.usefixtures("prefect_server")
def test_a_mask_of_the_whole_frame_gives_a_result(clip: dict[str, Any], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "all.png"), np.full((48, 64), 255, np.uint8))
    run(clip, tmp_path / "out", mask=str(tmp_path / "all.png"))
    assert read_frames(tmp_path / "out").shape == clip["frames"].shape


@pytest.mark.usefixtures("prefect_server")
def test_one_frame_is_inpainted_by_itself(clip: dict[str, Any], tmp_path: Path) -> None:
    clip["video"] = str(write_frames(tmp_path / "one", clip["frames"][:1]))
    cv2.imwrite(str(tmp_path / "mask.png"), clip["holes"][0].astype(np.uint8) * 255)
    run(clip, tmp_path / "out", mask=str(tmp_path / "mask.png"))
    (filled,) = read_frames(tmp_path / "out")
    assert (filled[clip["holes"][0]] == 255).all(axis=1).mean() < 0.02


@pytest.mark.usefixtures("prefect_server")
def test_a_part_of_the_video_is_the_same_part_of_the_result(clip: dict[str, Any], tmp_path: Path) -> None:
    run(
        clip,
        tmp_path / "out.mkv",
        settings={"extract_frames": {"start": 5, "end": "0:0.625"}, "encode_video": {"codec": "ffv1"}},
    )
    with open_source(tmp_path / "out.mkv") as part:
        assert part.info.frames == 10


@pytest.mark.usefixtures("prefect_server")
def test_a_segment_that_rots_on_disk_is_found_and_computed_again(clip: dict[str, Any], tmp_path: Path) -> None:
    run(clip, tmp_path / "out.mp4")
    first = (tmp_path / "out.mp4").read_bytes()
    (piece,) = Path(clip["cache"]).glob("v1/encode_video/*/*/b.0")
    damaged = bytearray(piece.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    piece.write_bytes(damaged)
    again = run(clip, tmp_path / "out.mp4")
    assert computed(again) == {"encode_video"}
    assert (tmp_path / "out.mp4").read_bytes() == first


@pytest.mark.usefixtures("prefect_server")
def test_outpainting_shows_around_the_frame_what_other_frames_show_there(tmp_path: Path) -> None:
    frames, _ = draw_clip(1, 96, 256)
    canvas = np.stack([frames[0, :, 4 * number + 12 :][:, :160] for number in range(16)])  # pans by 4 pixels a frame
    clip = {
        "video": str(write_video(tmp_path / "clip.mkv", canvas[:, :, 16:-16])),
        "mask": None,
        "cache": str(tmp_path / "cache"),
    }
    settings = {"mode": "outpainting", "outpainting": {"scale_w": 1.25}}
    run(clip, tmp_path / "out", settings=settings)
    filled = read_frames(tmp_path / "out")
    np.testing.assert_array_equal(filled[:, :, 16:-16], canvas[:, :, 16:-16])
    shown_elsewhere = slice(4, -4)
    error = np.abs(filled.astype(int) - canvas)[shown_elsewhere].mean(axis=(0, 1, 3))
    assert error.max() < 3  # grey levels, in any column; the edge repeated outwards is wrong by 30
    manifest = json.loads((tmp_path / "out.report" / "manifest.json").read_text())
    assert [entry["role"] for entry in manifest["inputs"]] == ["video"]
    assert (manifest["output"]["height_px"], manifest["output"]["width_px"]) == (96, 160)
    assert computed(run(clip, tmp_path / "out", settings=settings)) == set()
