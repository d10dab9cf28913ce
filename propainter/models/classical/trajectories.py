"""Pixels of the hole followed along completed flow to the nearest frame that shows them, and their colour taken there.

Unlike image propagation frame to frame, a colour is sampled once, so it stays sharp however far it comes.
Points are N, arrays of x and y in pixels; frames T, rows H, columns W.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.completion import around_hole
from propainter.models.classical.membrane import hole_box, near, spread
from propainter.models.classical.plane import squared_length
from propainter.ops.consistency import RELATIVE_TOLERANCE, TOLERANCE_PX2
from propainter.ops.propagation import HOLE, KNOWN

_RIM_PX = 3
_EXPOSURE_SAMPLES = 3000
_REMAP_LIMIT = 1 << 14
"""Points at a time: OpenCV's remap numbers them by 16 bits."""

_DARK = 4.0
"""Grey levels added before brightness is compared, so that noise in the dark does not count as a change."""

_MAX_EXPOSURE_STEP = 48.0
"""Grey levels. A larger difference at the rim is another object, not another exposure."""

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]
Points = tuple[Ints, ...]
"""Rows, then columns."""

_NOWHERE: Points = (np.empty(0, np.intp), np.empty(0, np.intp))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """Where the points of one frame go in a neighbouring one: places (N,) in it, and whether flow loses them."""

    x: Floats
    y: Floats
    lost: Bools


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traced:
    """All that is needed of the flow, frame by frame: flow itself is gone, so memory is the points' and not the flow's.

    unsure: pixels that must not serve as a source. points: the pixels to fill, with a rim. ahead, behind: their steps
    to the next and to the previous frame, None where there is none. exposure: logarithm of each frame's brightness
    (T, 3) against the first's.
    """

    unsure: Bools
    points: list[Points]
    ahead: list[_Steps | None]
    behind: list[_Steps | None]
    exposure: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origins:
    """Where each pixel (H, W) of one frame is first seen: the frame (-1: nowhere) and the place in it."""

    frame: Ints
    x: Floats
    y: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What one direction found for the points of one frame: colours (N, 3), and how many frames away (0: nothing)."""

    colours: Floats
    distances: Floats


def fill_along_trajectories(
    frames: NDArray[np.uint8], hole: Bools, flow: Iterable[NDArray[np.float32]], core: slice
) -> NDArray[np.uint8]:
    """Shapes, units and result as in stages.propagate_pixels; the codes are KNOWN and HOLE alone."""
    count = len(frames)
    wanted = range(count)[core]
    out = np.empty((len(wanted), *frames.shape[1:3], 4), np.uint8)
    for frame, packed in zip(frames[core], out, strict=True):
        cv2.cvtColor(frame, cv2.COLOR_RGB2RGBA, packed)
    out[..., 3] = np.where(hole[core], np.uint8(HOLE), np.uint8(KNOWN))
    traced = _trace(frames, hole, flow)
    ahead: dict[int, _Found] = {}
    origins = None
    for t in range(count - 2, -1, -1):
        origins = _follow(traced.unsure[t + 1], traced.points[t], t + 1, traced.ahead[t], origins)
        if t in wanted:
            ahead[t] = _collect(frames, traced.exposure, t, traced.points[t], origins)
    origins = None
    for t in range(count):
        found = [ahead.pop(t)] if t in ahead else []
        if t > 0:
            origins = _follow(traced.unsure[t - 1], traced.points[t], t - 1, traced.behind[t], origins)
            if t in wanted:
                found.append(_collect(frames, traced.exposure, t, traced.points[t], origins))
        if t in wanted and hole[t].any() and found:
            _paint(out[t - wanted.start], hole[t], traced.points[t], found)
    return out


def _trace(frames: NDArray[np.uint8], hole: Bools, flow: Iterable[NDArray[np.float32]]) -> _Traced:
    """One pass over the flow, two pairs held at a time: a frame's unsure pixels are known once both pairs that it
    belongs to have been seen."""
    count = len(frames)
    traced = _Traced(
        unsure=hole.copy(),
        points=[_NOWHERE] * count,
        ahead=[None] * count,
        behind=[None] * count,
        exposure=np.zeros((count, 3), np.float32),
    )
    before: NDArray[np.float32] | None = None
    pairs = iter(flow)
    for t in range(count):
        after = next(pairs).copy() if t < count - 1 else None
        if after is not None:
            _follow_background(after, hole, traced.unsure, t)
        if hole[t].any():
            traced.points[t] = np.nonzero(traced.unsure[t] | near(hole[t], _RIM_PX))
        if after is not None:
            traced.ahead[t] = _steps(traced.points[t], after[0], after[1])
        if before is not None:
            traced.behind[t] = _steps(traced.points[t], before[1], before[0])
            traced.exposure[t] = traced.exposure[t - 1] + _exposure_step(frames, traced.unsure, before[0], t - 1)
        before = after
    return traced


def _follow_background(pair_22HW: NDArray[np.float32], hole: Bools, unsure: Bools, t: int) -> None:
    """Put the background's flow in the holes' surroundings into the pair of frames t and t + 1, and mark what moves
    otherwise there: the object's own motion leaking out, or something that passes."""
    for direction in (0, 1):
        seen_in = t + direction
        if hole[seen_in].any():
            background = around_hole(pair_22HW[direction], hole[seen_in])
            here = pair_22HW[direction][:, *background.box]
            error_px2 = squared_length(here - background.flow)
            size_px2 = squared_length(background.flow)
            unsure[seen_in][background.box] |= error_px2 > RELATIVE_TOLERANCE * size_px2 + TOLERANCE_PX2
            here[:] = background.flow


def _exposure_step(frames: NDArray[np.uint8], unsure: Bools, ahead_2HW: NDArray[np.float32], t: int) -> Floats:
    """How much brighter frame t + 1 is than frame t: logarithm (3,), the median along the background's flow."""
    height, width = unsure.shape[1:]
    stride = max(1, int((height * width / _EXPOSURE_SAMPLES) ** 0.5))
    y, x = (a.ravel() for a in np.mgrid[:height:stride, :width:stride])
    to_x = np.rint(x + ahead_2HW[0, y, x]).astype(np.intp)
    to_y = np.rint(y + ahead_2HW[1, y, x]).astype(np.intp)
    both = (to_x >= 0) & (to_x < width) & (to_y >= 0) & (to_y < height) & ~unsure[t, y, x]
    both[both] = ~unsure[t + 1, to_y[both], to_x[both]]
    if not both.any():
        return np.zeros(3, np.float32)
    here = frames[t, y[both], x[both]].astype(np.float32)
    there = frames[t + 1, to_y[both], to_x[both]].astype(np.float32)
    step: Floats = np.median(np.log((there + _DARK) / (here + _DARK)), axis=0).astype(np.float32)
    return step


def _steps(points: Points, flow_2HW: NDArray[np.float32], check_2HW: NDArray[np.float32]) -> _Steps:
    """Where flow takes the points; lost where they leave the frame, or the flow back does not agree."""
    height, width = flow_2HW.shape[1:]
    y, x = points
    step_2N = flow_2HW[:, y, x]
    to_x, to_y = x + step_2N[0], y + step_2N[1]
    inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
    back_2N = check_2HW[:, _nearest(to_y, height), _nearest(to_x, width)]
    size_px2 = squared_length(step_2N) + squared_length(back_2N)
    agrees = squared_length(step_2N + back_2N) < RELATIVE_TOLERANCE * size_px2 + TOLERANCE_PX2
    return _Steps(x=to_x.astype(np.float32), y=to_y.astype(np.float32), lost=~(inside & agrees))


def _nearest(place_N: NDArray[np.floating], side: int) -> Ints:
    nearest: Ints = np.clip(np.rint(place_N), 0, side - 1).astype(np.intp)
    return nearest


def _follow(unsure: Bools, points: Points, neighbour: int, steps: _Steps | None, origins: _Origins | None) -> _Origins:
    """One step of every trajectory, to a neighbour whose own origins are known already; unsure is the neighbour's.

    A point that lands on a sure pixel ends there. One that lands in the neighbour's unsure pixels takes the origin of
    the nearest of them, shifted by the fraction of a pixel between the two.
    """
    assert steps is not None, "every frame but the outermost has steps to its neighbour"
    height, width = unsure.shape
    near_x, near_y = _nearest(steps.x, width), _nearest(steps.y, height)
    origin_frame = np.full(len(near_x), neighbour)
    origin_x, origin_y, lost = steps.x.copy(), steps.y.copy(), steps.lost.copy()
    onward = unsure[near_y, near_x]
    if origins is None:
        lost |= onward
    else:
        at = near_y[onward], near_x[onward]
        origin_frame[onward] = origins.frame[at]
        origin_x[onward] = origins.x[at] + (steps.x[onward] - near_x[onward])
        origin_y[onward] = origins.y[at] + (steps.y[onward] - near_y[onward])
    lost |= (origin_x < 0) | (origin_x > width - 1) | (origin_y < 0) | (origin_y > height - 1)
    origin_frame[lost] = -1
    here = _Origins(
        frame=np.full((height, width), -1),
        x=np.zeros((height, width), np.float32),
        y=np.zeros((height, width), np.float32),
    )
    here.frame[points], here.x[points], here.y[points] = origin_frame, origin_x, origin_y
    return here


def _collect(frames: NDArray[np.uint8], exposure: Floats, t: int, points: Points, origins: _Origins) -> _Found:
    """The colours at the origins of frame t's points, as bright as they would be in frame t."""
    frame_N, x_N, y_N = origins.frame[points], origins.x[points], origins.y[points]
    seen = frame_N >= 0
    colours = np.zeros((len(frame_N), 3), np.float32)
    gain = np.exp(exposure[t] - exposure[frame_N[seen]])
    colours[seen] = (sample(frames, frame_N[seen], x_N[seen], y_N[seen]) + _DARK) * gain - _DARK
    return _Found(colours=colours, distances=np.where(seen, np.abs(frame_N - t), 0).astype(np.float32))


def _paint(out: NDArray[np.uint8], hole: Bools, points: Points, found: list[_Found]) -> None:
    """Blend both directions by distance in time, add what the rim says of exposure, write the hole of one frame.

    The points reach beyond the hole: there the colour found and the one to be seen differ by exposure alone.
    """
    weights = [np.divide(1, f.distances, out=np.zeros_like(f.distances), where=f.distances > 0) for f in found]
    total = np.sum(weights, axis=0)
    seen = total > 0
    y, x = points[0][seen], points[1][seen]
    colour_N3 = np.sum([f.colours * w[:, None] for f, w in zip(found, weights, strict=True)], axis=0)[seen]
    colour_N3 /= total[seen][:, None]
    step_N3 = out[y, x, :3] - colour_N3
    on_rim = near(hole, _RIM_PX)[y, x] & ~hole[y, x] & (np.abs(step_N3).max(axis=1) < _MAX_EXPOSURE_STEP)
    if on_rim.any():
        exposure = np.zeros((*hole.shape, 3), np.float32)
        exposure[y[on_rim], x[on_rim]] = step_N3[on_rim]
        unknown = np.ones(hole.shape, np.bool_)
        unknown[y[on_rim], x[on_rim]] = False
        box = hole_box(hole, margin_px=_RIM_PX)
        exposure[box] = spread(exposure[box], unknown[box])
        colour_N3 += exposure[y, x]
    inside = hole[y, x]
    at = y[inside], x[inside]
    out[*at, :3] = np.clip(np.rint(colour_N3[inside]), 0, 255).astype(np.uint8)
    out[*at, 3] = KNOWN


def sample(frames: NDArray[np.uint8], frame_N: Ints, x_N: Floats, y_N: Floats) -> NDArray[np.uint8]:
    """Colours (N, 3) of frames (T, H, W, 3) at places inside the picture, by cubic interpolation."""
    out = np.empty((len(x_N), 3), np.uint8)
    for t in np.unique(frame_N):
        here = np.flatnonzero(frame_N == t)
        for some in np.array_split(here, len(here) // _REMAP_LIMIT + 1):
            places = x_N[None, some], y_N[None, some]
            out[some] = cv2.remap(frames[t], *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)[0]
    return out
