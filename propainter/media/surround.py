"""Outpainting's canvas around the frame: all of it is hole."""

import numpy as np
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry

_FLOW_REACH_PX = 4
_NARROW_MARGIN_PX = 10


class Surround:
    """A MaskSource: the same hole in every frame, never dilated."""

    frames: int | None = None
    notices: tuple[str, ...] = ()

    def read(self, frames: FrameRange, geometry: Geometry) -> NDArray[np.bool_]:
        return np.repeat(_around_frame(geometry)[None], len(frames), axis=0)


def holes_for_flow(holes: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.bool_]:
    """Where flow has to be completed: the hole; in outpainting with some of the frame, whose flow the black disturbs.

    Args:
        holes: (n, height_px, width_px), True inside.

    Source: pipeline step 7 of the released inference, which leaves the frame alone where the margin is narrow.
    """
    if not geometry.outpaints:
        return holes
    return holes | _around_frame(geometry, _reach_px(geometry.margin_y_px), _reach_px(geometry.margin_x_px))


def extend_edges(frames: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """The frame's outermost pixels over all around it, so that what samples between pixels there meets no black.

    Args:
        frames: (n, height_px, width_px, 3).
    """
    if not geometry.outpaints:
        return frames
    y_px, x_px = geometry.margin_y_px, geometry.margin_x_px
    in_frame = frames[:, y_px : geometry.height_px - y_px, x_px : geometry.width_px - x_px]
    return np.pad(in_frame, ((0, 0), (y_px, y_px), (x_px, x_px), (0, 0)), mode="edge")


def _reach_px(margin_px: int) -> int:
    return _FLOW_REACH_PX if margin_px > _NARROW_MARGIN_PX else 0


def _around_frame(geometry: Geometry, reach_y_px: int = 0, reach_x_px: int = 0) -> NDArray[np.bool_]:
    """True outside the frame, and in as much of its rim as the hole reaches into: (height_px, width_px)."""
    hole = np.ones((geometry.height_px, geometry.width_px), np.bool_)
    y_px, x_px = geometry.margin_y_px + reach_y_px, geometry.margin_x_px + reach_x_px
    hole[y_px : geometry.height_px - y_px, x_px : geometry.width_px - x_px] = False
    return hole
