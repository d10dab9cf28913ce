"""A video frame's planes as arrays, and frames made of such arrays."""

from dataclasses import dataclass
from functools import lru_cache

import av
import numpy as np
from numpy.typing import NDArray

from propainter.media.colour import is_rgb

_PROBE_PX = 64
"""A side that every chroma factor divides and that no row padding changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneLayout:
    """One plane: bytes of a sample (all of a packed pixel), and the luma columns and rows that it covers."""

    sample_bytes: int
    columns: int
    rows: int


@lru_cache
def layout_of(pixel_format: str) -> tuple[PlaneLayout, ...] | None:
    """The planes of a pixel format; None where a sample is not whole bytes in one place (palettes, bits, YUYV)."""
    description = av.VideoFormat(pixel_format, _PROBE_PX, _PROBE_PX)
    sizes = {(part.plane, part.width, part.height) for part in description.components}
    planes = {plane for plane, _, _ in sizes}
    if description.is_bit_stream or description.has_palette or description.is_bayer or len(sizes) > len(planes):
        return None
    return tuple(
        PlaneLayout(
            sample_bytes=plane.line_size // plane.width,
            columns=_PROBE_PX // plane.width,
            rows=_PROBE_PX // plane.height,
        )
        for plane in av.VideoFrame(_PROBE_PX, _PROBE_PX, pixel_format).planes
    )


def bit_depth_of(pixel_format: str) -> int:
    """Bits of the widest component; 8 for a palette."""
    description = av.VideoFormat(pixel_format, _PROBE_PX, _PROBE_PX)
    return max(8, *(part.bits for part in description.components))


def full_chroma(pixel_format: str) -> str:
    """The format without subsampling, and with whole samples, that holds every value of another."""
    bits = bit_depth_of(pixel_format)
    if is_rgb(pixel_format):
        return "rgb24" if bits == 8 else "rgb48le"
    return "yuv444p" if bits == 8 else f"yuv444p{next(depth for depth in (9, 10, 12, 14, 16) if depth >= bits)}le"


def planes_of(frame: av.VideoFrame) -> list[NDArray[np.uint8]]:
    """Views of (rows, columns, bytes of a sample), one per plane. The format must have a layout."""
    layout = layout_of(frame.format.name)
    if layout is None:
        raise ValueError(f"{frame.format.name} has no planes of whole samples")
    return [
        np.frombuffer(memoryview(plane), np.uint8)
        .reshape(-1, plane.line_size)[: plane.height, : plane.width * part.sample_bytes]
        .reshape(plane.height, plane.width, part.sample_bytes)
        for plane, part in zip(frame.planes, layout, strict=True)
    ]


def frame_of_planes(planes: list[NDArray[np.uint8]], like: av.VideoFrame) -> av.VideoFrame:
    """A frame with these planes, in like's pixel format and with its colour tags. The first plane gives the size."""
    height_px, width_px = planes[0].shape[:2]
    frame = av.VideoFrame(width_px, height_px, like.format.name)
    for target, plane in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(memoryview(target), np.uint8).reshape(-1, target.line_size)
        rows[: plane.shape[0], : plane.shape[1] * plane.shape[2]] = plane.reshape(plane.shape[0], -1)
    frame.colorspace, frame.color_range = like.colorspace, like.color_range
    frame.color_primaries, frame.color_trc = like.color_primaries, like.color_trc
    return frame
