from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from encoded_clips import write_clip
from PIL import Image

from propainter.core.errors import MaskError
from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry
from propainter.core.settings import Masks
from propainter.media.masks import open_masks
from propainter.media.source import VideoInfo, open_source

SIZE = Geometry.plan(16, 16)
ONE = FrameRange(0, 1)


@pytest.fixture
def info(tmp_path: Path) -> VideoInfo:
    (tmp_path / "video").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "video" / "0.png")
    with open_source(tmp_path / "video") as source:
        return source.info


def steps() -> Image.Image:
    """Columns of 0, 1, 127, 128: what counts depends on the kind of file."""
    return Image.fromarray(np.repeat(np.array([[0, 1, 127, 128]], np.uint8), 4, axis=1).repeat(16, axis=0))


def columns_of_hole(path: Path, info: VideoInfo, threshold: int | None = None) -> int:
    hole = open_masks(path, info, Masks(dilation=0, threshold=threshold)).read(ONE, SIZE)[0]
    assert (hole == hole[0]).all()
    return int(hole[0].sum())


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_any_pixel_over_zero_counts_in_a_lossless_mask(tmp_path: Path, info: VideoInfo, suffix: str) -> None:
    steps().save(tmp_path / f"mask.{suffix}", lossless=True)
    assert columns_of_hole(tmp_path / f"mask.{suffix}", info) == 12
    assert columns_of_hole(tmp_path / f"mask.{suffix}", info, threshold=127) == 4


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_only_bright_pixels_count_in_a_lossy_mask(tmp_path: Path, info: VideoInfo, suffix: str) -> None:
    steps().resize((64, 64), Image.Resampling.NEAREST).point(lambda grey: 250 if grey == 128 else grey // 2).save(
        tmp_path / f"mask.{suffix}", quality=95
    )
    assert columns_of_hole(tmp_path / f"mask.{suffix}", info) == 4


def test_only_bright_pixels_count_in_a_lossy_mask_video(tmp_path: Path, info: VideoInfo) -> None:
    mask = np.zeros((16, 16, 3), np.uint8)
    mask[:, 8:] = 255
    mask[:, :4] = 60
    path = write_clip(tmp_path / "mask.mp4", [mask], options={"crf": "4"})
    assert columns_of_hole(path, info) == 8
    assert columns_of_hole(path, info, threshold=30) == 12


def test_a_palette_counts_by_what_it_shows(tmp_path: Path, info: VideoInfo) -> None:
    mask = Image.fromarray(np.repeat(np.array([[0, 1, 2, 0]], np.uint8), 4, axis=1).repeat(16, axis=0))
    palette = Image.frombytes("P", mask.size, mask.tobytes())
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    palette.save(tmp_path / "mask.png")
    assert columns_of_hole(tmp_path / "mask.png", info) == 8


def test_a_faint_pixel_of_a_deep_mask_counts(tmp_path: Path, info: VideoInfo) -> None:
    deep = np.zeros((16, 16), np.uint16)
    deep[:, 10:] = 3
    Image.fromarray(deep).save(tmp_path / "mask.png")
    assert columns_of_hole(tmp_path / "mask.png", info) == 6


def test_dilation_does_not_reach_in_from_the_border(tmp_path: Path, info: VideoInfo) -> None:
    Image.new("L", (16, 16)).save(tmp_path / "mask.png")
    assert not open_masks(tmp_path / "mask.png", info, Masks(dilation=4)).read(ONE, SIZE).any()


def test_masks_that_are_not_there_or_not_readable_are_an_error(tmp_path: Path, info: VideoInfo) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "broken.png").write_bytes(b"no")
    (tmp_path / "broken.mp4").write_bytes(b"no")
    for name, message in [
        ("missing", "missing does not exist"),
        ("none", "none/ holds no images"),
        ("broken.png", "broken.png cannot be read as an image"),
        ("broken.mp4", "broken.mp4 is not a video"),
    ]:
        with pytest.raises(MaskError, match=message):
            open_masks(tmp_path / name, info, Masks())


def test_the_count_in_the_error_is_the_one_in_the_folder(tmp_path: Path, info: VideoInfo) -> None:
    (tmp_path / "masks").mkdir()
    for number in range(3):
        Image.new("L", (16, 16)).save(tmp_path / "masks" / f"{number}.png")
    with pytest.raises(MaskError, match=r"3 masks for 2 frames in .*masks/\. Give one mask, or one per frame\."):
        open_masks(tmp_path / "masks", replace(info, frames=2), Masks())
