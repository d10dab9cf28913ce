"""Pixels of the hole followed along completed flow to the nearest frame that shows them, and their colour taken there.

Unlike image propagation frame to frame, a colour is sampled once, so it stays sharp however far it comes. Where points
go is this module's; what becomes of their colours is painting's.
Points are N: pixels of one frame, by their number in it (row by row). Frames T, rows H, columns W.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.completion import around_holes
from propainter.models.classical.membrane import near
from propainter.models.classical.painting import RIM_PX, Found, exposure_step, paint, sample
from propainter.models.classical.plane import squared_length
from propainter.ops.consistency import RELATIVE_TOLERANCE, TOLERANCE_PX2
from propainter.ops.propagation import HOLE, KNOWN

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Numbers = NDArray[np.int32]
Frames = Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
Holes = Sequence[Bools] | Bools


@dataclass(frozen=True, slots=True, kw_only=True)
class _Points:
    """The pixels of one frame to fill, with a rim. inside: those of them in the hole; unsure: those that must not serve
    as a source. No other pixel of the frame is either."""

    pixels: Numbers
    inside: Bools
    unsure: Bools


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Places (N,) in a frame, in pixels; x is negative where there is none."""

    x: Floats
    y: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origins:
    """Where each point of one frame is first seen: in which frame (-1: nowhere), and at which place there."""

    frame: NDArray[np.int16]
    place: _Places


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traced:
    """All that is needed of the flow, frame by frame: flow itself is gone, so memory is the points' and not the flow's.

    ahead, behind: the points' places in the next and in the previous frame; those of frames without a neighbour are
    not there. exposure: logarithm of each frame's brightness (3,) against the first's.
    """

    points: list[_Points] = field(default_factory=list)
    ahead: dict[int, _Places] = field(default_factory=dict)
    behind: dict[int, _Places] = field(default_factory=dict)
    exposure: list[Floats] = field(default_factory=list)


def fill_along_trajectories(
    frames: Frames, hole: Holes, flow: Iterable[NDArray[np.float32]], core: slice
) -> Iterator[NDArray[np.uint8]]:
    """Shapes, units and result as in stages.propagate_pixels; the codes are KNOWN and HOLE alone.

    Flow and holes are asked for once, one after the other, and frames four times: for their brightness, for the colours
    in them ahead and behind, and to be painted. Memory is the points'.
    """
    wanted, sides_px = range(len(hole))[core], hole[0].shape
    traced = _trace(frames, hole, flow)
    ways = [_collect(frames, _sweep(traced, wanted, sides_px, way)) for way in (1, -1)]
    for t in wanted:
        points = traced.points[t]
        inside = np.zeros(sides_px, np.bool_)
        inside.ravel()[points.pixels[points.inside]] = True
        packed = np.empty((*sides_px, 4), np.uint8)
        cv2.cvtColor(frames[t], cv2.COLOR_RGB2RGBA, packed)
        packed[..., 3] = np.where(inside, np.uint8(HOLE), np.uint8(KNOWN))
        found = [way.pop(t) for way in ways if t in way]
        if found and inside.any():
            paint(packed, inside, points.pixels, found, traced.exposure, t)
        yield packed


def _sweep(traced: _Traced, wanted: range, sides_px: tuple[int, ...], way: Literal[1, -1]) -> dict[int, _Origins]:
    """Where the points of each wanted frame are seen ahead (way 1) or behind (-1); steps are used up."""
    count = len(traced.points)
    order, steps = (range(count - 2, -1, -1), traced.ahead) if way == 1 else (range(1, count), traced.behind)
    seen: dict[int, _Origins] = {}
    origins = None
    for t in order:
        origins = _follow(steps.pop(t), traced.points[t + way], t + way, origins, sides_px)
        if t in wanted:
            seen[t] = origins
    return seen


def _trace(frames: Frames, hole: Holes, flow: Iterable[NDArray[np.float32]]) -> _Traced:
    """One pass over the flow, two pairs held at a time: a frame's unsure pixels are known once both pairs that it
    belongs to have been seen."""
    traced = _Traced()
    pairs = iter(flow)
    unsure, unsure_before, before = hole[0].copy(), hole[0], None
    for t, (frame, inside) in enumerate(zip(frames, hole, strict=True)):
        after, unsure_next = None, inside
        if t < len(hole) - 1:
            after, unsure_next = next(pairs).copy(), hole[t + 1].copy()
            _follow_background(after, (inside, hole[t + 1]), (unsure, unsure_next))
        reach = unsure | near(inside, RIM_PX) if inside.any() else unsure
        pixels = np.flatnonzero(reach).astype(np.int32)
        traced.points.append(_Points(pixels=pixels, inside=inside.ravel()[pixels], unsure=unsure.ravel()[pixels]))
        if after is not None:
            traced.ahead[t] = _steps(pixels, after[0], after[1])
        if before is None:
            traced.exposure.append(np.zeros(3, np.float32))
        else:
            traced.behind[t] = _steps(pixels, before[1], before[0])
            step = exposure_step(frames[t - 1], frame, before[0], unsure_before, unsure)
            traced.exposure.append(traced.exposure[-1] + step)
        before, unsure_before, unsure = after, unsure, unsure_next
    return traced


def _follow_background(pair_22HW: NDArray[np.float32], holes: tuple[Bools, Bools], unsure: tuple[Bools, Bools]) -> None:
    """Put the background's flow in the holes' surroundings into a pair, and mark in both frames what moves otherwise
    there: the object's own motion leaking out, or something that passes."""
    for flow_2HW, hole, marked in zip(pair_22HW, holes, unsure, strict=True):
        for background in around_holes(flow_2HW, hole):
            here = flow_2HW[:, *background.box]
            error_px2 = squared_length(here - background.flow)
            size_px2 = squared_length(background.flow)
            marked[background.box] |= error_px2 > RELATIVE_TOLERANCE * size_px2 + TOLERANCE_PX2
            here[:] = background.flow


def _steps(pixels: Numbers, flow_2HW: Floats, check_2HW: Floats) -> _Places:
    """Where flow takes the points; nowhere if they leave the frame, or the flow back does not agree."""
    height, width = flow_2HW.shape[1:]
    y, x = np.divmod(pixels, width)
    step_2N = flow_2HW[:, y, x]
    to_x, to_y = x + step_2N[0], y + step_2N[1]
    inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
    back_2N = check_2HW.reshape(2, -1)[:, _nearest(to_x, to_y, height, width)]
    size_px2 = squared_length(step_2N) + squared_length(back_2N)
    agrees = squared_length(step_2N + back_2N) < RELATIVE_TOLERANCE * size_px2 + TOLERANCE_PX2
    return _Places(x=np.where(inside & agrees, to_x, -1).astype(np.float32), y=to_y.astype(np.float32))


def _nearest(x: NDArray[np.floating], y: NDArray[np.floating], height: int, width: int) -> Numbers:
    """The pixels next to these places."""
    column, row = (np.clip(np.rint(at), 0, side - 1).astype(np.int32) for at, side in ((x, width), (y, height)))
    pixels: Numbers = row * np.int32(width) + column
    return pixels


def _follow(
    steps: _Places, there: _Points, neighbour: int, origins: _Origins | None, sides_px: tuple[int, ...]
) -> _Origins:
    """One step of every trajectory, to a neighbour whose own points, there, have origins already.

    A point that lands on a sure pixel ends there. One that lands in the neighbour's unsure pixels takes the origin of
    the nearest of them, shifted by the fraction of a pixel between the two.
    """
    height, width = sides_px
    number = np.full(height * width, -1, np.int32)
    number[there.pixels[there.unsure]] = np.flatnonzero(there.unsure)
    pixel = _nearest(steps.x, steps.y, height, width)
    at = number[pixel]
    onward = at >= 0
    frame = np.full(len(pixel), neighbour, np.int16)
    x, y, lost = steps.x.copy(), steps.y.copy(), steps.x < 0
    if origins is None:
        lost |= onward
    else:
        row, column = np.divmod(pixel[onward], width)
        frame[onward] = origins.frame[at[onward]]
        lost[onward] |= frame[onward] < 0
        x[onward] += origins.place.x[at[onward]] - column
        y[onward] += origins.place.y[at[onward]] - row
    lost |= (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    frame[lost] = -1
    return _Origins(frame=frame, place=_Places(x=x, y=y))


def _collect(frames: Frames, seen: dict[int, _Origins]) -> dict[int, Found]:
    """The colours at the origins, which are used up: those of a frame go with the last source that it asks."""
    found: dict[int, Found] = {}
    asking = defaultdict[int, list[tuple[_Origins, NDArray[np.uint8]]]](list)
    while seen:
        t, origins = seen.popitem()
        found[t] = Found(colours=np.zeros((len(origins.frame), 3), np.uint8), frame=origins.frame)
        for source in np.unique(origins.frame).tolist():
            asking[source].append((origins, found[t].colours))
    asking.pop(-1, None)  # nowhere
    for source in sorted(asking):
        frame = frames[source]
        for origins, colours in asking.pop(source):
            here = np.flatnonzero(origins.frame == source)
            colours[here] = sample(frame, origins.place.x[here], origins.place.y[here])
    return found
