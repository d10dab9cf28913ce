"""Between RGB and a video's own samples: which matrix, which range, and the conversion both ways."""

from dataclasses import dataclass, replace
from typing import Literal

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

UNSPECIFIED = 2
"""FFmpeg's number for a matrix, primaries or transfer that the file does not name."""

_BT709, _FCC, _BT470BG, _SMPTE170M, _SMPTE240M, _BT2020 = 1, 4, 5, 6, 7, 9
_SCALER_MATRIX = {_BT709: 1, _FCC: 4, _BT470BG: 5, _SMPTE170M: 5, _SMPTE240M: 7, _BT2020: 9, 10: 9}

HD_LINES = 720
"""From here up, video that does not name its matrix is taken for BT.709, below for BT.601."""

_SCALER_FLAGS = int(
    Interpolation.BILINEAR
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
)
"""Chroma interpolated rather than repeated, and the same numbers on every processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """Colour tags by FFmpeg's numbers, as the stream has them."""

    range: Literal["limited", "full", "unspecified"] = "unspecified"
    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def range_number(self) -> int:
        return {"unspecified": 0, "limited": 1, "full": 2}[self.range]

    def resolved(self, height_px: int) -> "Colour":
        """The same with the matrix and range that conversion uses where the stream names none it can use."""
        assumed = _BT709 if height_px >= HD_LINES else _SMPTE170M
        return replace(
            self,
            matrix=self.matrix if self.matrix in _SCALER_MATRIX else assumed,
            range="full" if self.range == "full" else "limited",
        )


def colour_of(frame: av.VideoFrame) -> Colour:
    """The tags that a decoded frame carries."""
    ranges: dict[int, Literal["limited", "full"]] = {1: "limited", 2: "full"}
    is_old_full = frame.format.name.startswith("yuvj")
    return Colour(
        range="full" if is_old_full else ranges.get(frame.color_range, "unspecified"),
        matrix=frame.colorspace,
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
    )


def is_rgb(pixel_format: str) -> bool:
    """True where samples are RGB (or a palette of it), so that matrix and range do not apply."""
    description = av.VideoFormat(pixel_format, 16, 16)
    return description.is_rgb or description.has_palette


def convert(frame: av.VideoFrame, pixel_format: str, colour: Colour) -> av.VideoFrame:
    """The frame in another pixel format. YUV on either side has the matrix and range of colour.

    Returns the frame itself where it has the format already.
    """
    if frame.format.name == pixel_format:
        return frame
    colour = colour.resolved(frame.height)
    matrix = _SCALER_MATRIX[colour.matrix]
    return frame.reformat(
        format=pixel_format,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=_range(frame.format.name, colour),
        dst_color_range=_range(pixel_format, colour),
        interpolation=_SCALER_FLAGS,
        threads=1,
    )


def _range(pixel_format: str, colour: Colour) -> ColorRange:
    if is_rgb(pixel_format) or pixel_format.startswith(("yuvj", "gray", "ya")):
        return ColorRange.JPEG
    return ColorRange(colour.range_number)


def to_rgb(frame: av.VideoFrame, colour: Colour) -> NDArray[np.uint8]:
    """(H, W, 3), 8 bits."""
    return convert(frame, "rgb24", colour).to_ndarray().astype(np.uint8, copy=False)


def from_rgb(rgb: NDArray[np.uint8], pixel_format: str, colour: Colour) -> av.VideoFrame:
    """A frame of (H, W, 3) in the pixel format asked for."""
    return convert(av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24"), pixel_format, colour)
