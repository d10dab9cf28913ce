"""Region of interest: how much of the frame around the holes has to be worked on."""

from math import ceil

from propainter.core.geometry import SIDE_MULTIPLE_PX, Crop

CONTEXT_SHARE = 1 / 8
"""Of the frame's longer side, on every side of the holes: see docs/decisions/0005-the-whole-frame-unless-asked.md."""

GRID_PX = 64
"""Edges of a region lie on multiples of this: holes that change a little keep the region, and so all that the cache
has of it."""

MIN_SIDE_PX = 128
"""What the optical flow network takes at least."""

Box = tuple[slice, slice]
"""Rows and columns."""


def region_around(holes: Box, height_px: int, width_px: int, context_share: float = CONTEXT_SHARE) -> Crop | None:
    """The part of a frame of these sides to work on for holes that all lie in a box; None: no part holds them.

    context_share: as CONTEXT_SHARE.
    """
    context_px = ceil(context_share * max(height_px, width_px))
    rows = _extent(holes[0], height_px, context_px)
    columns = _extent(holes[1], width_px, context_px)
    if rows is None or columns is None:
        return None
    return Crop(
        top_px=rows.start, left_px=columns.start,
        height_px=rows.stop - rows.start, width_px=columns.stop - columns.start,
    )  # fmt: skip


def _extent(holes: slice, side_px: int, context_px: int) -> slice | None:
    """On one axis."""
    start = max(holes.start - context_px, 0) // GRID_PX * GRID_PX
    stop = min(-(-(holes.stop + context_px) // GRID_PX) * GRID_PX, side_px)
    if stop - start < MIN_SIDE_PX:
        stop = min(start + MIN_SIDE_PX, side_px)
        start = max(stop - MIN_SIDE_PX, 0)
    # Where the frame's own side is no multiple of 8: more is taken in at the other end, else some left out at this one.
    lacking = -(stop - start) % SIDE_MULTIPLE_PX
    if lacking <= start:
        return slice(start - lacking, stop)
    stop -= (stop - start) % SIDE_MULTIPLE_PX
    return slice(start, stop) if holes.stop <= stop and stop > start else None
