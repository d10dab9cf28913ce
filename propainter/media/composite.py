"""Filled holes over the source, in the format that is written: outside the hole the source's own samples."""

from collections.abc import Callable, Iterator

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.core.errors import ShapeError
from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry
from propainter.media.colour import Colour, convert, from_rgb, is_rgb, to_rgb
from propainter.media.encode_spec import EncodeSpec
from propainter.media.info import VideoSource
from propainter.media.kept_size import kept_hole, kept_margins, kept_patch, uncropped, with_margins
from propainter.media.planes import frame_of_planes, layout_of, planes_of
from propainter.media.resize import whole_frames

FEATHER_PX = 3
"""Over this much of the hole's rim an enlarged fill blends into the source, so that its softness shows no edge."""

PAINT = (0, 255, 0)
PAINT_SHARE = 0.6
"""As the released code marks the hole in the source that it shows."""

_AT_A_TIME = 8
"""Frames of fill held at once."""

_BOX_STEP_PX = 16
"""A multiple of every chroma sample's width and height."""

Fill = Callable[[FrameRange], NDArray[np.uint8] | None]


def composite_frames(
    source: VideoSource, frames: FrameRange, fill: Fill, holes: NDArray[np.bool_], geometry: Geometry, spec: EncodeSpec
) -> Iterator[av.VideoFrame]:
    """Frames of the result in order, one at a time, in spec's pixel format and size.

    At source size every sample that the hole does not touch is the source's, bit for bit, in so far as spec's pixel
    format is the source's; outpainting's margins lie around them. At another size (keep_size off) the composite is made
    at processing size and resized.

    Args:
        fill: RGB (n, height_px, width_px, 3) at processing size for a range of frames, or None where those have no
            hole.
        holes: (n, height_px, width_px) at processing size, for `frames`, True inside.

    Raises:
        ShapeError: holes do not go with frames and geometry.
        MediaError: the source cannot be read.
    """
    if holes.shape != (len(frames), geometry.height_px, geometry.width_px):
        size = f"{geometry.width_px}x{geometry.height_px}"
        raise ShapeError(f"holes of shape {holes.shape} do not go with frames {frames} at {size}.")
    keeps_size = (spec.height_px, spec.width_px) == geometry.written_size_px(keep_size=True)
    for tile in frames.tiles(_AT_A_TIME):
        tile_holes = holes[tile.core.slice_in(frames)]
        filled = fill(tile.core) if tile_holes.any() else None
        for place, frame in enumerate(source.native(tile.core)):
            here = geometry.at(tile.core.start + place)
            hole = tile_holes[place]
            patch = filled[place] if filled is not None and hole.any() else None
            colour = spec.colour if is_rgb(frame.format.name) else source.info.colour
            # Decided by the source's lines: those of a higher canvas must not decide otherwise.
            colour = colour.resolved(source.info.height_px)
            if keeps_size:
                yield _at_source_size(frame, patch, hole, here, colour, spec.pixel_format)
            else:
                yield _resized(frame, patch, hole, here, colour, spec)


def painted(frames_THW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A fill that shows where the hole is: RGB frames under a translucent green. Same shape."""
    mixed = frames_THW3 * np.float32(1 - PAINT_SHARE) + np.array(PAINT, np.float32) * np.float32(PAINT_SHARE)
    return np.rint(mixed).astype(np.uint8)


def _at_source_size(
    frame: av.VideoFrame,
    patch: NDArray[np.uint8] | None,
    hole: NDArray[np.bool_],
    geometry: Geometry,
    colour: Colour,
    pixel_format: str,
) -> av.VideoFrame:
    own = with_margins(convert(frame, pixel_format, colour), geometry)
    if patch is None:
        return own
    # What is next to the frame takes its rim's colours, for the fill to blend into.
    mixed = np.pad(to_rgb(frame, colour), (*kept_margins(geometry), (0, 0)), mode="edge")
    hole = kept_hole(hole, geometry)
    patch = kept_patch(patch, geometry)
    box = _box_around(hole)
    mix = _feathered if geometry.resizes else _pasted
    mixed[box] = mix(mixed[box], patch[box], hole[box])
    return _merge(own, from_rgb(mixed, pixel_format, colour), hole, box)


def _resized(
    frame: av.VideoFrame,
    patch: NDArray[np.uint8] | None,
    hole: NDArray[np.bool_],
    geometry: Geometry,
    colour: Colour,
    spec: EncodeSpec,
) -> av.VideoFrame:
    picture = whole_frames(to_rgb(frame, colour)[None], geometry)[0]
    if patch is not None:
        picture = np.where(uncropped(hole, geometry)[..., None], uncropped(patch, geometry), picture)
    interpolation = cv2.INTER_CUBIC if spec.codec == "png" else cv2.INTER_LINEAR
    size = cv2.resize(picture, (spec.width_px, spec.height_px), interpolation=interpolation)
    return from_rgb(np.asarray(size, np.uint8), spec.pixel_format, spec.colour)


def _box_around(hole: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of a box around the hole, with some of what is outside, on the borders of chroma samples."""

    def span(is_hole: NDArray[np.bool_]) -> slice:
        places = np.flatnonzero(is_hole)
        first = max(int(places[0]) // _BOX_STEP_PX - 1, 0)
        return slice(first * _BOX_STEP_PX, (int(places[-1]) // _BOX_STEP_PX + 2) * _BOX_STEP_PX)

    return span(np.asarray(hole.any(axis=1))), span(np.asarray(hole.any(axis=0)))


def _pasted(picture: NDArray[np.uint8], patch: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(hole[..., None], patch, picture)


def _feathered(picture: NDArray[np.uint8], patch: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    depth_px = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    weight = np.clip(np.asarray(depth_px, np.float32) / (FEATHER_PX + 1), 0, 1)[..., None]
    return np.rint(picture + weight * (patch.astype(np.float32) - picture)).astype(np.uint8)


def _merge(
    own: av.VideoFrame, other: av.VideoFrame, hole: NDArray[np.bool_], box: tuple[slice, slice]
) -> av.VideoFrame:
    """own, with the samples that the hole touches taken from other. Both have the same format and size."""
    layout = layout_of(own.format.name)
    if layout is None:
        raise ShapeError(f"frames of {own.format.name} cannot be put together. Use another --codec.")
    merged = []
    for part, ours, theirs in zip(layout, planes_of(own), planes_of(other), strict=True):
        rows = slice(box[0].start // part.rows, box[0].stop // part.rows)
        columns = slice(box[1].start // part.columns, box[1].stop // part.columns)
        touched = _touched(hole[box], part.rows, part.columns)[..., None]
        plane = ours.copy()
        plane[rows, columns] = np.where(touched, theirs[rows, columns], ours[rows, columns])
        merged.append(plane)
    return frame_of_planes(merged, like=own)


def _touched(hole: NDArray[np.bool_], rows: int, columns: int) -> NDArray[np.bool_]:
    """Which samples, each over a block of pixels, have a pixel of the hole in their block."""
    if (rows, columns) == (1, 1):
        return hole
    height_px, width_px = hole.shape
    padded = np.pad(hole, ((0, -height_px % rows), (0, -width_px % columns)))
    blocks = padded.reshape(-(-height_px // rows), rows, -(-width_px // columns), columns)
    return np.asarray(blocks.any((1, 3)))
