"""What every VideoSource does, over each kind that can be opened."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from encoded_clips import scene, write_clip
from PIL import Image

from propainter.core.errors import MediaError
from propainter.core.frames import FrameRange
from propainter.media.source import open_source

FRAMES = scene(9, 50, 70)


def write_file(folder: Path) -> Path:
    return write_clip(folder / "clip.mkv", FRAMES, codec="ffv1", pixel_format="bgr0")


def write_long_gop(folder: Path) -> Path:
    return write_clip(folder / "gop.mp4", FRAMES, options={"bf": "3", "g": "100"})


def write_uncounted(folder: Path) -> Path:
    """AVI gives packets no presentation times, so that frames have to be decoded to be counted."""
    return write_clip(folder / "clip.avi", FRAMES, options={"bf": "2"}, time_base=Fraction(1, 25))


def write_images(folder: Path) -> Path:
    images = folder / "frames"
    images.mkdir()
    for number, frame in enumerate(FRAMES):
        Image.fromarray(frame).save(images / f"{number:05d}.png")
    return images


@pytest.fixture(params=[write_file, write_long_gop, write_uncounted, write_images], ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Callable[[Path], Path]:
    return request.param


def test_frames_are_counted_and_measured(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with open_source(make(tmp_path)) as source:
        assert (source.info.frames, source.info.height_px, source.info.width_px) == (9, 50, 70)
        assert len(source.info.times) == 9
        assert source.info.end_time > source.info.times[-1]
        assert source.info.frame_rate == pytest.approx(24 if source.info.is_folder else 25, rel=0.01)


@pytest.mark.parametrize("ranges", [[(0, 9)], [(3, 6), (6, 9)], [(5, 7), (1, 3)], [(8, 9), (0, 1), (4, 4)]])
def test_any_range_in_any_order_is_that_part_of_the_whole(
    make: Callable[[Path], Path], tmp_path: Path, ranges: list[tuple[int, int]]
) -> None:
    path = make(tmp_path)
    with open_source(path) as source:
        whole = source.read(FrameRange(0, 9))
    assert np.abs(whole.astype(int) - FRAMES).mean() < 6  # lossy for some, yet the right pictures in the right order
    with open_source(path) as source:
        for start, stop in ranges:
            assert np.array_equal(source.read(FrameRange(start, stop)), whole[start:stop])


def test_native_frames_are_the_frames_that_are_read(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with open_source(make(tmp_path)) as source:
        native = list(source.native(FrameRange(2, 5)))
        assert [(frame.height, frame.width, frame.format.name) for frame in native] == [
            (50, 70, source.info.pixel_format)
        ] * 3


def test_a_range_beyond_the_end_is_an_error_that_names_the_count(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with open_source(make(tmp_path)) as source, pytest.raises(MediaError, match="has 9 frames"):
        source.read(FrameRange(5, 10))


def test_the_digest_follows_the_content_and_not_the_name(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path)
    with open_source(path) as source:
        digest = source.content_digest
    moved = path.rename(tmp_path / f"moved{path.suffix}")
    with open_source(moved) as source:
        assert source.content_digest == digest
    changed = max(moved.iterdir()) if moved.is_dir() else moved
    changed.write_bytes(changed.read_bytes() + b"\0")
    with open_source(moved) as source:
        assert source.content_digest != digest
