"""A crop against the whole: the same pixels going in, and coming back only where the hole is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from encoded_clips import scene, write_clip
from numpy.typing import NDArray

from propainter.core.errors import ShapeError
from propainter.core.frames import FrameRange
from propainter.core.geometry import Crop, Geometry, Pan
from propainter.core.settings import EncodeVideo, Masks
from propainter.media.composite import composite_frames
from propainter.media.encode_spec import plan_encoding
from propainter.media.masks import open_masks
from propainter.media.planes import planes_of
from propainter.media.resize import fit_frames
from propainter.media.source import open_source

CROP = Crop(top_px=16, left_px=24, height_px=32, width_px=40)
AT_SOURCE = replace(Geometry.plan(90, 121), crop=CROP)
SCALED = replace(Geometry.plan(90, 121, height_px=60, width_px=80), crop=CROP)
RED = (220, 30, 30)
PANNING = replace(AT_SOURCE, crop=Pan(height_px=32, width_px=40, first_frame=1, places_px=((16, 24), (19, 33))))
"""Places of frames 1 and 2."""


def hole_in_crop() -> NDArray[np.bool_]:
    hole = np.zeros((1, CROP.height_px, CROP.width_px), bool)
    hole[:, 11:21, 9:27] = True
    return hole


def test_at_the_sources_size_a_crop_is_the_sources_own_pixels() -> None:
    frames = scene(2, 90, 121)
    np.testing.assert_array_equal(fit_frames(frames, AT_SOURCE), frames[:, 16:48, 24:64])


def test_a_crop_that_pans_is_cut_out_where_it_lies_in_each_frame() -> None:
    frames = scene(2, 90, 121)
    fitted = fit_frames(frames, PANNING, first_frame=1)
    np.testing.assert_array_equal(fitted[0], frames[0, 16:48, 24:64])
    np.testing.assert_array_equal(fitted[1], frames[1, 19:51, 33:73])
    with pytest.raises(ShapeError, match="3:4"):
        fit_frames(frames, PANNING, first_frame=2)


def test_a_crop_that_pans_has_no_place_but_in_a_frame() -> None:
    with pytest.raises(ShapeError, match="each frame"):
        _ = PANNING.box
    assert PANNING.at(2).box == (slice(19, 51), slice(33, 73))
    assert AT_SOURCE.at(2) == AT_SOURCE


def test_at_another_size_a_crop_is_a_part_of_the_resized_frame() -> None:
    frames = scene(1, 90, 128)
    whole = Geometry.plan(90, 128, height_px=56, width_px=80)
    cropped = replace(whole, crop=CROP)
    np.testing.assert_array_equal(fit_frames(frames, cropped), fit_frames(frames, whole)[:, 16:48, 24:64])


def test_a_cropped_hole_is_dilated_as_in_the_whole_frame(tmp_path: Path) -> None:
    mask = np.zeros((90, 121), np.uint8)
    mask[10:40, 60:100] = 255  # reaches out of the crop above and to the right
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    with open_source(write_clip(tmp_path / "clip.mkv", scene(1, 90, 121), codec="ffv1")) as source:
        masks = open_masks(tmp_path / "mask.png", source.info, Masks(dilation=3))
    all_of_it = Crop(top_px=0, left_px=0, height_px=90, width_px=121)
    whole = masks.read(FrameRange(0, 1), replace(AT_SOURCE, crop=all_of_it))
    np.testing.assert_array_equal(masks.read(FrameRange(0, 1), AT_SOURCE), whole[:, 16:48, 24:64])


@pytest.mark.parametrize("is_video", [False, True])
def test_a_hole_is_seen_where_a_crop_that_pans_lies(tmp_path: Path, is_video: bool) -> None:
    mask = np.zeros((90, 121), np.uint8)
    mask[20:40, 30:60] = 255
    with open_source(write_clip(tmp_path / "clip.mkv", scene(3, 90, 121), codec="ffv1")) as source:
        if is_video:
            pictures = [np.repeat(mask[..., None], 3, axis=2)] * 3
            path = write_clip(tmp_path / "mask.mkv", pictures, codec="ffv1", pixel_format="gray")
        else:
            path = tmp_path / "mask.png"
            cv2.imwrite(str(path), mask)
        holes = open_masks(path, source.info, Masks(dilation=0)).read(FrameRange(1, 3), PANNING)
    np.testing.assert_array_equal(holes[0], mask[16:48, 24:64] > 0)
    np.testing.assert_array_equal(holes[1], mask[19:51, 33:73] > 0)


def composited(clip: Path, geometry: Geometry, output: str, **settings: Any) -> tuple[Any, Any]:
    """The source's frame, and the one with the crop's hole painted red."""
    patch = np.full((1, CROP.height_px, CROP.width_px, 3), RED, np.uint8)
    with open_source(clip) as source:
        spec = plan_encoding(source.info, EncodeVideo(**settings), geometry, Path(output))
        one = FrameRange(0, 1)
        (after,) = composite_frames(source, one, lambda _: patch, hole_in_crop(), geometry, spec)
        (before,) = source.native(one)
    return before, after


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "gbrp12le"])
def test_a_crops_hole_comes_back_in_its_place_and_no_other_sample_is_touched(tmp_path: Path, pixel_format: str) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(1, 90, 121), codec="ffv1", pixel_format=pixel_format)
    before, after = composited(clip, AT_SOURCE, "out.mkv", codec="ffv1")
    rows, columns = slice(16 + 11, 16 + 21), slice(24 + 9, 24 + 27)
    changed = planes_of(before)[0][..., 0] != planes_of(after)[0][..., 0]
    outside = changed.copy()
    outside[rows, columns] = False
    assert not outside.any()
    painted = after.to_ndarray(format="rgb24")[rows, columns]
    assert np.abs(np.median(painted, axis=(0, 1)) - RED).max() <= 5  # YUV rounds, and shines in from around


@pytest.mark.parametrize("keep_size", [True, False])
def test_the_hole_of_a_crop_that_pans_comes_back_where_that_lies_in_the_frame(tmp_path: Path, keep_size: bool) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(3, 90, 121), codec="ffv1", pixel_format="bgr0")
    frames, holes = FrameRange(1, 3), np.repeat(hole_in_crop(), 2, axis=0)
    patches = np.full((2, CROP.height_px, CROP.width_px, 3), RED, np.uint8)
    with open_source(clip) as source:
        spec = plan_encoding(source.info, EncodeVideo(codec="png", keep_size=keep_size), PANNING, Path("out"))
        after = list(composite_frames(source, frames, lambda _: patches, holes, PANNING, spec))
        before = source.read(frames)
    for old, new, (top, left) in zip(before, after, ((16, 24), (19, 33)), strict=True):
        painted = (new.to_ndarray(format="rgb24") != old).any(axis=-1)
        expected = np.zeros((90, 121), bool)
        expected[top + 11 : top + 21, left + 9 : left + 27] = True
        np.testing.assert_array_equal(painted, expected)


def test_a_scaled_crops_hole_comes_back_scaled(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(1, 90, 121), codec="ffv1", pixel_format="bgr0")
    before, after = (frame.to_ndarray(format="rgb24") for frame in composited(clip, SCALED, "out", codec="png"))
    rows, columns = np.nonzero((before != after).any(axis=-1))
    assert (rows.min(), rows.max()) == pytest.approx((27 * 1.5, 37 * 1.5 - 1), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((33 * 121 / 80, 51 * 121 / 80 - 1), abs=1.5)
    assert np.abs(after[48, 63].astype(int) - RED).max() <= 3


def test_where_the_size_is_not_kept_the_crop_comes_back_in_a_frame_of_the_size_asked_for(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(1, 90, 121), codec="ffv1", pixel_format="bgr0")
    _, after = composited(clip, SCALED, "out", codec="png", keep_size=False)
    picture = after.to_ndarray(format="rgb24")
    assert picture.shape == (60, 80, 3)
    red = (np.abs(picture.astype(int) - RED).max(axis=-1) <= 3).nonzero()
    assert (red[0].min(), red[0].max(), red[1].min(), red[1].max()) == (27, 36, 33, 50)
