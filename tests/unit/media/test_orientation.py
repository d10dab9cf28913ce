from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from encoded_clips import scene, stored_frames, turn_in_header, write_clip

from propainter.core.frames import FrameRange
from propainter.media.source import open_source

RIGHT, OVER, LEFT = (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)
ONE = FrameRange(0, 1)


@pytest.mark.parametrize(("matrix", "turns"), [(RIGHT, 3), (OVER, 2), (LEFT, 1)])
def test_turned_video_is_read_as_it_is_shown(tmp_path: Path, matrix: tuple[int, int, int, int], turns: int) -> None:
    clip = write_clip(tmp_path / "clip.mp4", scene(3, 48, 80))
    with open_source(clip) as source:
        upright = source.read(ONE)[0]
    turn_in_header(clip, matrix)
    with open_source(clip) as source:
        shown = source.read(ONE)[0]
        assert shown.shape == ((80, 48, 3) if turns % 2 else (48, 80, 3))
        assert (source.info.height_px, source.info.width_px) == shown.shape[:2]
        assert source.info.rotation_deg == 360 - 90 * turns
        # Chroma samples are moved as they are, and lie between other pixels than players take them to: half a pixel.
        assert np.abs(shown - np.rot90(upright, turns).astype(int)).mean() < 4
        stored = stored_frames(clip)[0].to_ndarray()
        luma = next(source.native(ONE)).to_ndarray()[: shown.shape[0], : shown.shape[1]]
        assert np.array_equal(luma, np.rot90(stored[:48, :80], turns))


@pytest.mark.parametrize(
    ("pixel_format", "size"), [("yuv422p", (48, 80)), ("yuv444p", (49, 81)), ("yuv420p", (49, 81))]
)
def test_chroma_that_cannot_be_turned_is_made_full_first(
    tmp_path: Path, pixel_format: str, size: tuple[int, int]
) -> None:
    clip = write_clip(tmp_path / "clip.mov", scene(1, *size), codec="mjpeg" if "444" not in pixel_format else "libx264",
                      pixel_format=pixel_format, tags={"color_range": 2})  # fmt: skip
    with open_source(clip) as source:
        upright = source.read(ONE)[0]
    turn_in_header(clip, RIGHT)
    with open_source(clip) as source:
        assert source.info.pixel_format.replace("j", "") == "yuv444p"
        assert next(source.native(ONE)).format.name == source.info.pixel_format
        assert np.abs(source.read(ONE)[0] - np.rot90(upright, 3).astype(int)).mean() < 1


def test_a_pixel_that_is_wide_is_tall_after_a_quarter_turn(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", scene(1), tags={"sample_aspect_ratio": Fraction(4, 3)})
    turn_in_header(clip, RIGHT)
    with open_source(clip) as source:
        assert source.info.sample_aspect == pytest.approx(3 / 4)
