"""From processing size to the size of a result that keeps the source's pixels: outpainting's margins scaled along, a
crop back in its place."""

from typing import TypeVar

import av
import numpy as np
from numpy.typing import NDArray

from propainter.core.geometry import Geometry
from propainter.media.planes import frame_of_planes, layout_of, planes_of
from propainter.media.resize import resize_frames, resize_holes

_Value = TypeVar("_Value", np.bool_, np.uint8)


def kept_margins(geometry: Geometry) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pixels (above, below), (left, right) of the source's own, as np.pad takes them; all 0 in inpainting."""
    return (geometry.kept_margin_y_px,) * 2, (geometry.kept_margin_x_px,) * 2


def uncropped(values: NDArray[_Value], geometry: Geometry) -> NDArray[_Value]:
    """What was made of a crop, (height_px, width_px, ...), in its place in the frame, zeros around; else itself."""
    if geometry.crop is None:
        return values
    frame = np.zeros((geometry.frame_height_px, geometry.frame_width_px, *values.shape[2:]), values.dtype)
    frame[geometry.box] = values
    return frame


def kept_hole(hole: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.bool_]:
    """(height_px, width_px) at the size of the result."""
    y_px, x_px = geometry.margin_y_px, geometry.margin_x_px
    in_frame = uncropped(hole[y_px : geometry.height_px - y_px, x_px : geometry.width_px - x_px], geometry)
    in_source = resize_holes(in_frame[None], geometry.source_height_px, geometry.source_width_px)[0]
    return np.asarray(np.pad(in_source, kept_margins(geometry), constant_values=True))


def kept_patch(patch: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """(height_px, width_px, 3) at the size of the result, its frame exactly where the source's pixels are."""
    box = None
    if geometry.outpaints and geometry.resizes:
        # Kept margins are rounded down, so a little of the patch's border is left out.
        top = geometry.margin_y_px - geometry.kept_margin_y_px * geometry.frame_height_px / geometry.source_height_px
        left = geometry.margin_x_px - geometry.kept_margin_x_px * geometry.frame_width_px / geometry.source_width_px
        box = (left, top, geometry.width_px - left, geometry.height_px - top)
    patch = uncropped(patch, geometry)
    resized: NDArray[np.uint8] = resize_frames(patch[None], *geometry.written_size_px(keep_size=True), box)[0]
    return resized


def with_margins(frame: av.VideoFrame, geometry: Geometry) -> av.VideoFrame:
    """A frame of the source on the canvas of the result, its samples as they are; those around them are undefined."""
    layout = layout_of(frame.format.name)
    if not geometry.outpaints or layout is None:
        return frame
    y_px, x_px = geometry.kept_margin_y_px, geometry.kept_margin_x_px
    planes = [
        np.pad(plane, ((y_px // part.rows,) * 2, (x_px // part.columns,) * 2, (0, 0)))
        for part, plane in zip(layout, planes_of(frame), strict=True)
    ]
    return frame_of_planes(planes, like=frame)
