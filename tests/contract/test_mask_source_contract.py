"""What every MaskSource does: one image, a folder of them, a video."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from encoded_clips import scene, write_clip
from PIL import Image

from propainter.core.errors import MaskError
from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry
from propainter.core.settings import Masks
from propainter.media.masks import MaskSource, open_masks
from propainter.media.source import VideoInfo, open_source

GEOMETRY = Geometry.plan(48, 64)
UNDILATED = Masks(dilation=0)


def drawn(number: int) -> np.ndarray:
    """A bar whose place tells the frame; faint, as any non-zero pixel of a lossless mask counts."""
    mask = np.zeros((48, 64), np.uint8)
    mask[8:24, 4 * number : 4 * number + 8] = 40
    return mask


def image(folder: Path) -> Path:
    Image.fromarray(drawn(0)).save(folder / "mask.png")
    return folder / "mask.png"


def folder_of_one(folder: Path) -> Path:
    (folder / "masks").mkdir()
    Image.fromarray(drawn(0)).save(folder / "masks" / "any.bmp")
    return folder / "masks"


def folder_of_all(folder: Path) -> Path:
    (folder / "masks").mkdir()
    for number in range(6):
        Image.fromarray(drawn(number)).save(folder / "masks" / f"{number:05d}.png")
    return folder / "masks"


def video(folder: Path) -> Path:
    frames = [np.repeat(drawn(number)[..., None], 3, axis=2) for number in range(6)]
    return write_clip(folder / "mask.mkv", frames, codec="ffv1", pixel_format="gray")


def video_of_one(folder: Path) -> Path:
    frame = np.repeat(drawn(0)[..., None], 3, axis=2)
    return write_clip(folder / "mask.mkv", [frame], codec="ffv1", pixel_format="bgr0")


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    path = write_clip(tmp_path_factory.mktemp("clip") / "clip.mkv", scene(6), codec="ffv1", pixel_format="bgr0")
    with open_source(path) as source:
        return source.info


@pytest.fixture(params=[image, folder_of_one, folder_of_all, video, video_of_one], ids=lambda make: make.__name__)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make: Callable[[Path], Path] = request.param
    return make(tmp_path)


def expected(masks: MaskSource, numbers: list[int]) -> np.ndarray:
    return np.stack([drawn(0 if masks.frames is None else number) > 0 for number in numbers])


def test_masks_are_counted_on_the_frames_of_the_source(path: Path, info: VideoInfo) -> None:
    masks = open_masks(path, info, UNDILATED)
    assert masks.frames in (None, 6)
    assert np.array_equal(masks.read(FrameRange(0, 6), GEOMETRY), expected(masks, [0, 1, 2, 3, 4, 5]))
    assert np.array_equal(masks.read(FrameRange(2, 4), GEOMETRY), expected(masks, [2, 3]))
    assert masks.notices == ()


def test_dilation_is_by_the_cross_at_processing_size(path: Path, info: VideoInfo) -> None:
    masks = open_masks(path, info, Masks(dilation=2))
    hole = masks.read(FrameRange(0, 1), Geometry.plan(48, 64, height_px=24, width_px=32))[0]
    rows, columns = np.nonzero(hole)
    assert hole.shape == (24, 32)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4 - 2, 11 + 2, 0, 3 + 2)
    assert not hole[2, 5]  # a square would reach the corner
    assert hole.sum() == (8 + 4) * 4 + 2 * 8 + 2  # the bar and its rows above and below, two columns, their corners


def test_masks_of_another_size_are_scaled_and_said(path: Path, info: VideoInfo) -> None:
    masks = open_masks(path, VideoInfo(**{**fields_of(info), "height_px": 96, "width_px": 128}), UNDILATED)
    hole = masks.read(FrameRange(0, 1), Geometry.plan(96, 128))[0]
    assert np.array_equal(hole, np.kron(drawn(0) > 0, np.ones((2, 2), bool)))
    assert len(masks.notices) == 1
    assert "64x48" in masks.notices[0]
    assert "128x96" in masks.notices[0]


def test_another_count_is_an_error_that_says_both(path: Path, info: VideoInfo) -> None:
    masks = open_masks(path, info, UNDILATED)
    longer = VideoInfo(**{**fields_of(info), "frames": 7})
    if masks.frames is None:
        assert open_masks(path, longer, UNDILATED).frames is None
    else:
        with pytest.raises(MaskError, match=r"6 masks for 7 frames in .*mask.*\. Give one mask, or one per frame\."):
            open_masks(path, longer, UNDILATED)


def fields_of(info: VideoInfo) -> dict[str, object]:
    return {name: getattr(info, name) for name in VideoInfo.__slots__}
