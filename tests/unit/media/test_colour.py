from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from encoded_clips import write_clip
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.media.colour import Colour, from_rgb, to_rgb
from propainter.media.source import open_source

CHART = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255], [255, 0, 255], [255, 255, 255], [0, 0, 0],
     [128, 128, 128], [200, 80, 40], [30, 90, 160], [250, 250, 240]],
    np.uint8,
)  # fmt: skip
PICTURE = np.kron(CHART.reshape(3, 4, 3), np.ones((16, 16, 1), np.uint8))
CENTRES = (slice(8, None, 16), slice(8, None, 16))
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def by_the_standard(rgb: NDArray[np.uint8], matrix: int, is_full: bool) -> NDArray[Any]:
    """Y, Cb, Cr of 8-bit RGB from the definition of the matrix."""
    red, blue = WEIGHTS[matrix]
    r, g, b = (rgb[..., channel] / 255 for channel in range(3))
    y = red * r + (1 - red - blue) * g + blue * b
    cb, cr = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    if is_full:
        return np.stack([255 * y, 128 + 255 * cb, 128 + 255 * cr], axis=-1)
    return np.stack([16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr], axis=-1)


@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("range_name", ["limited", "full"])
def test_samples_are_those_of_the_standard(matrix: int, range_name: Any) -> None:
    frame = from_rgb(PICTURE, "yuv444p", Colour(matrix=matrix, range=range_name))
    samples = np.moveaxis(frame.to_ndarray(), 0, -1) if frame.to_ndarray().shape[0] == 3 else frame.to_ndarray()
    expected = by_the_standard(PICTURE, matrix, range_name == "full")
    assert np.abs(samples.astype(float) - expected).max() <= 1.5  # rounding in fixed point


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "gbrp", "bgr0", "nv12"])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("range_name", ["limited", "full"])
def test_a_saturated_chart_survives_the_way_there_and_back(pixel_format: str, matrix: int, range_name: Any) -> None:
    colour = Colour(matrix=matrix, range=range_name)
    back = to_rgb(from_rgb(PICTURE, pixel_format, colour), colour)
    assert np.abs(back[CENTRES].astype(int) - PICTURE[CENTRES]).max() <= 4  # 8-bit samples are coarser than RGB


@pytest.mark.parametrize(
    ("height_px", "assumed"), [(480, 6), (720, 1)], ids=["BT.601 below 720 lines", "BT.709 from there"]
)
def test_an_unnamed_matrix_is_told_by_the_number_of_lines(height_px: int, assumed: int) -> None:
    picture = np.full((height_px, 64, 3), (200, 80, 40), np.uint8)
    named = from_rgb(picture, "yuv420p", Colour(matrix=assumed))
    unnamed = from_rgb(picture, "yuv420p", Colour())
    assert np.array_equal(named.to_ndarray(), unnamed.to_ndarray())


@pytest.mark.parametrize(("matrix", "number"), [("bt709", 1), ("smpte170m", 6), ("bt2020nc", 9)])
@pytest.mark.parametrize("range_number", [1, 2])
def test_a_file_is_read_by_its_own_tags(tmp_path: Path, matrix: str, number: int, range_number: int) -> None:
    tags = {"colorspace": number, "color_range": range_number, "color_primaries": number, "color_trc": 1}
    colour = Colour(matrix=number, range="full" if range_number == 2 else "limited")
    clip = write_clip(
        tmp_path / "clip.mkv", [from_rgb(PICTURE, "yuv420p", colour)], options={"crf": "4"}, tags=tags
    )  # fmt: skip
    with open_source(clip) as source:
        assert source.info.colour == Colour(range=colour.range, matrix=number, primaries=number, transfer=1)
        assert np.abs(source.read(FrameRange(0, 1))[0][CENTRES].astype(int) - PICTURE[CENTRES]).max() <= 6


def test_ten_bits_are_read_as_eight_and_kept_as_ten(tmp_path: Path) -> None:
    colour = Colour(matrix=1, range="limited")
    clip = write_clip(
        tmp_path / "clip.mkv", [from_rgb(PICTURE, "yuv420p10le", colour)], pixel_format="yuv420p10le",
        tags={"colorspace": 1, "color_range": 1}, options={"crf": "4"},
    )  # fmt: skip
    with open_source(clip) as source:
        assert (source.info.pixel_format, source.info.bit_depth) == ("yuv420p10le", 10)
        assert np.abs(source.read(FrameRange(0, 1))[0][CENTRES].astype(int) - PICTURE[CENTRES]).max() <= 5
        assert next(source.native(FrameRange(0, 1))).format.name == "yuv420p10le"


def test_grey_is_grey_from_black_to_white() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    rgb = to_rgb(av.VideoFrame.from_ndarray(ramp, format="gray"), Colour())
    assert np.array_equal(rgb, np.repeat(ramp[..., None], 3, axis=2))
