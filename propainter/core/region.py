"""Region of interest: how much of the frame around the holes has to be worked on, and how it follows them.

A region has one size for all of a video. On an axis where the holes keep to their place it stands still. Where they
wander it pans with them: every STEP_FRAMES frames it is where the holes of the frames around ask for it, and in between
it moves evenly. So its way past a frame depends on the holes near that frame alone.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.core.geometry import SIDE_MULTIPLE_PX, Crop, Pan

CONTEXT_SHARE = 1 / 8
"""Of the frame's longer side, on every side of the holes: see docs/decisions/0005-the-whole-frame-unless-asked.md."""

GRID_PX = 64
"""Edges of a region that stands still, and the size of one that pans, are multiples of this: holes that change a little
keep the region, and so all that the cache has of it."""

MIN_SIDE_PX = 128
"""What the optical flow network takes at least."""

PANS_BELOW = 0.75
"""A region pans on an axis where no step asks for more than so much of what all of them together ask for."""

STEP_FRAMES = 8
"""From one place that is chosen to the next. More of them ask for a larger region, fewer for a less steady one."""

STEP_PX = STEP_FRAMES
"""Places that are chosen are multiples of it: in between the region moves by the same whole pixels in every frame."""

UNASKED_SPEED_PX = 4
"""A frame, at most, from hole to hole where none is for long enough."""

Boxes = NDArray[np.int64]
"""(T, 2, 2): of each frame rows and columns, where its hole starts and stops; 0 and 0 where there is none."""


def region_following(
    boxes: Boxes,
    frames: FrameRange,
    height_px: int,
    width_px: int,
    shots: Sequence[FrameRange] = (),
    context_share: float = CONTEXT_SHARE,
) -> Crop | Pan | None:
    """The part of each frame to work on; a Crop where it is the same in all; None: no part holds the holes.

    Args:
        boxes: of these frames of the source. At least one of them has a hole.
        shots: parts of frames, in order; from one to the next the region may jump. None given: all of it is one.
        context_share: as CONTEXT_SHARE.
    """
    context_px = ceil(context_share * max(height_px, width_px))
    rows, columns = (
        _side(boxes[:, axis], frames, shots or (frames,), side_px, context_px)
        for axis, side_px in enumerate((height_px, width_px))
    )
    if rows is None or columns is None:
        return None
    size = {"height_px": rows[0], "width_px": columns[0]}
    places = tuple(zip(rows[1].tolist(), columns[1].tolist(), strict=True))
    if len(set(places)) == 1:
        return Crop(top_px=places[0][0], left_px=places[0][1], **size)
    return Pan(first_frame=frames.start, places_px=places, **size)


def _extent(holes: slice, side_px: int, context_px: int) -> slice | None:
    """On one axis, standing still."""
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


def _side(
    spans: NDArray[np.int64], frames: FrameRange, shots: Sequence[FrameRange], side_px: int, context_px: int
) -> tuple[int, NDArray[np.int64]] | None:
    """On one axis: the region's length, and where it starts in each frame. spans: (T, 2), the holes' on that axis."""
    holed = spans[:, 1] > spans[:, 0]
    still = _extent(slice(int(spans[holed, 0].min()), int(spans[holed, 1].max())), side_px, context_px)
    still_px = side_px if still is None else still.stop - still.start
    context = np.array((-context_px, context_px))
    # What the region has to take in of the frame. Where there is no hole it stops before it starts.
    wanted = np.where(holed[:, None], np.clip(spans + context, 0, side_px), (side_px, 0))
    asked = [_asked(wanted[shot.slice_in(frames)], shot.start) for shot in shots]
    longest_px = max(int((stops - starts).max()) for starts, stops in asked)
    # One multiple of STEP_PX must be among the places where all that is wanted lies inside.
    pan_px = max(-(-(longest_px + STEP_PX - 1) // GRID_PX) * GRID_PX, MIN_SIDE_PX)
    wanders = longest_px <= PANS_BELOW * int(wanted[:, 1].max() - wanted[:, 0].min())
    if wanders and pan_px < still_px:
        ways = [_way(*each, shot, pan_px, side_px) for each, shot in zip(asked, shots, strict=True)]
        return pan_px, np.concatenate(ways)
    return None if still is None else (still_px, np.full(len(frames), still.start))


def _asked(wanted: NDArray[np.int64], first_frame: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What is wanted at each step: all that is in the frames between the step before and the one after.

    Steps are at multiples of STEP_FRAMES, from the last one that is not after the first frame on.

    Returns:
        Where it starts and stops, (n,) each.
    """
    begins = np.arange(-(first_frame % STEP_FRAMES), len(wanted), STEP_FRAMES).clip(0)
    starts = np.minimum.reduceat(wanted[:, 0], begins)
    stops = np.maximum.reduceat(wanted[:, 1], begins)
    return (
        np.minimum(np.append(starts[0], starts), np.append(starts, starts[-1])),
        np.maximum(np.append(stops[0], stops), np.append(stops, stops[-1])),
    )


def _way(
    starts: NDArray[np.int64], stops: NDArray[np.int64], shot: FrameRange, size_px: int, side_px: int
) -> NDArray[np.int64]:
    """Where the region starts in each frame of a shot. starts, stops: what is wanted at each step."""
    steps = np.flatnonzero(stops > starts)
    if len(steps) == 0:
        return np.zeros(len(shot), np.int64)
    middles = (starts[steps] + stops[steps] - size_px) // 2
    places = np.clip((middles + STEP_PX // 2) // STEP_PX * STEP_PX, 0, side_px - size_px)
    way = [np.full(steps[0] * STEP_FRAMES, places[0])]
    for gap, place, to_go_px in zip(np.diff(steps), places, np.diff(places), strict=False):
        # Over a long time without a hole it moves in the middle, so that either end hangs on what is near alone.
        moving = min(gap, ceil(abs(to_go_px) / (UNASKED_SPEED_PX * STEP_FRAMES)))
        stays = (gap - moving) // 2 * STEP_FRAMES
        moves = moving * STEP_FRAMES
        way += [
            np.full(stays, place),
            place + to_go_px * np.arange(moves) // moves,
            np.full(gap * STEP_FRAMES - stays - moves, place + to_go_px),
        ]
    way.append(np.full(len(shot), places[-1]))
    before = shot.start % STEP_FRAMES
    return np.concatenate(way)[before : before + len(shot)]
