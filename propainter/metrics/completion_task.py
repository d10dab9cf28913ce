"""The completion task: a clip is given holes, so what they hide is known and a fill can be scored.

Lengths are those of 432x240, scaled to the frame.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from propainter.core.frames import FrameRange

HoleMotion = Literal["still", "moving"]

REFERENCE_WIDTH_PX, REFERENCE_HEIGHT_PX = 432, 240
BOX_WIDTH_PX, BOX_HEIGHT_PX, DRIFT_PX = 80, 60, 1.5
MOST_DRIFT_PX = 3.0
SMALLEST_SIDE, LARGEST_SIDE = 0.1, 0.35
"""Of the frame's: from a ball to what a person takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hole:
    """A stencil, (h, w), its place in frame 0 and its motion per frame. It turns back at the frame's edges."""

    stencil: NDArray[np.bool_]
    left_px: float
    top_px: float
    dx_px: float
    dy_px: float


def draw_holes(
    motion: HoleMotion, frames: FrameRange, height_px: int, width_px: int, *, seed: int | None = None
) -> NDArray[np.bool_]:
    """Holes of one shape, standing still or drifting.

    Args:
        frames: the part of the clip to draw.
        seed: None: a box of 80x60 at x = 0.3 W, y = H/3, drifting 1.5 px a frame to the right. A number: box or
            ellipse, its size, place and drift (up to 3 px a frame along each axis) are drawn by it.

    Returns:
        (len(frames), height_px, width_px), True inside.
    """
    hole = _the_box(height_px, width_px) if seed is None else _any_hole(height_px, width_px, seed)
    high, wide = hole.stencil.shape
    holes = np.zeros((len(frames), height_px, width_px), np.bool_)
    for drawn, frame in zip(holes, frames, strict=True):
        moved = frame if motion == "moving" else 0
        left = _turned_back(hole.left_px + moved * hole.dx_px, width_px - wide)
        top = _turned_back(hole.top_px + moved * hole.dy_px, height_px - high)
        drawn[top : top + high, left : left + wide] = hole.stencil
    return holes


def _the_box(height_px: int, width_px: int) -> _Hole:
    wide = BOX_WIDTH_PX * width_px // REFERENCE_WIDTH_PX
    high = BOX_HEIGHT_PX * height_px // REFERENCE_HEIGHT_PX
    return _Hole(
        stencil=np.ones((high, wide), np.bool_),
        left_px=0.3 * width_px,
        top_px=height_px // 3,
        dx_px=DRIFT_PX * width_px / REFERENCE_WIDTH_PX,
        dy_px=0.0,
    )


def _any_hole(height_px: int, width_px: int, seed: int) -> _Hole:
    random = np.random.default_rng(seed)
    high, wide = (int(side_px * random.uniform(SMALLEST_SIDE, LARGEST_SIDE)) for side_px in (height_px, width_px))
    stencil = np.ones((high, wide), np.bool_)
    if random.random() < 0.5:
        y, x = (np.arange(side)[:, None] * 2 - side + 1 for side in (high, wide))
        stencil = (y / high) ** 2 + (x.T / wide) ** 2 <= 1
    drift_px = MOST_DRIFT_PX * width_px / REFERENCE_WIDTH_PX
    return _Hole(
        stencil=stencil,
        left_px=random.uniform(0, width_px - wide),
        top_px=random.uniform(0, height_px - high),
        dx_px=random.uniform(-drift_px, drift_px),
        dy_px=random.uniform(-drift_px, drift_px),
    )


def _turned_back(place_px: float, limit_px: int) -> int:
    """A place on the way between 0 and the limit, back and forth, as a whole pixel."""
    if limit_px <= 0:
        return 0
    way = place_px % (2 * limit_px)
    return int(min(way, 2 * limit_px - way))
