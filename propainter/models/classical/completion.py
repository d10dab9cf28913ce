"""What the background does behind the hole: one motion for the frame, and what the hole's surroundings add to it.

Flow near the hole still follows the object (dense inverse search compares patches wider than the object's outline), so
nothing is read from a band around it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.membrane import Box, near, parts_of, spread
from propainter.models.classical.plane import Floats, plane_motions, squared_length, tolerance_px2
from propainter.ops.propagation import Pairs

BAND_PX = 24
"""How far the object's motion leaks out of the hole: measured, see docs/stages/classical-engine.md."""

_MIN_KNOWN = 0.05
_RESIDUAL_PX2 = 1.0
_MARGIN_PX = 8

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """The background's flow (2, rows, columns) in a box of the frame."""

    box: Box
    flow: Floats


def complete(flow: Pairs, hole: Bools) -> Floats:
    """Fill flow inside holes; known flow comes back unchanged. Shapes as in stages.complete_flow."""
    out = np.empty((len(flow), 2, 2, *hole.shape[1:]), np.float32)
    for pair in range(len(out)):
        out[pair] = flow[pair]
        inside = hole[pair : pair + 2]
        if inside.any():
            _complete_pair(out[pair], inside)
    return out


def _complete_pair(pair_22HW: Floats, hole_2HW: Bools) -> None:
    unseen_2HW = np.stack([_with_band(hole) for hole in hole_2HW])
    parts = list(parts_of(unseen_2HW[0] | unseen_2HW[1], _MARGIN_PX))
    motions = plane_motions(pair_22HW, unseen_2HW, [box for box, _ in parts])
    for (box, part), motion_22HW in zip(parts, motions, strict=True):
        for flow_2HW, hole, unseen, motion_2HW in zip(pair_22HW, hole_2HW, unseen_2HW, motion_22HW, strict=True):
            inside = hole[box] & part
            if inside.any():
                here = flow_2HW[:, *box]
                np.copyto(here, _with_surroundings(here, motion_2HW, unseen[box]), where=inside)


def around_holes(flow_2HW: Floats, hole: Bools) -> Iterator[Background]:
    """What the background does in the band around each part of a hole, by flow that is completed; elsewhere flow as
    given. The hole's inside tells the motion, the flow beyond the band what is to be added to it."""
    unseen = _with_band(hole)
    for box, part in parts_of(unseen, _MARGIN_PX):
        here = flow_2HW[:, *box]
        band = unseen[box] & ~hole[box]
        filled_2HW = _with_surroundings(here, _affine_motion(here, hole[box] & part), band)
        yield Background(box=box, flow=np.where(band & part, filled_2HW, here))


def _with_surroundings(flow_2HW: Floats, motion_2HW: Floats, unseen: Bools) -> Floats:
    """The motion and, spread from where flow is known, by how much flow differs from it. A difference d counts by
    1 / (1 + d^2 / tolerance): a passing object's motion must not flow into the hole."""
    residual = flow_2HW - motion_2HW
    residual /= 1 + squared_length(residual) / tolerance_px2(motion_2HW, _RESIDUAL_PX2)
    return motion_2HW + spread(residual.transpose(1, 2, 0), unseen).transpose(2, 0, 1)


def _affine_motion(flow_2HW: Floats, inside: Bools) -> Floats:
    """The affine map nearest to the flow of the inside, everywhere."""
    rows, columns = np.nonzero(inside)
    middle = rows.mean(), columns.mean()
    places = np.stack([np.ones(len(rows)), rows - middle[0], columns - middle[1]], axis=-1)
    (shift, by_row, by_column), *_ = np.linalg.lstsq(places, flow_2HW[:, inside].T, rcond=None)
    y, x = np.ogrid[: inside.shape[0], : inside.shape[1]]
    motion = [s + (y - middle[0]) * r + (x - middle[1]) * c for s, r, c in zip(shift, by_row, by_column, strict=True)]
    return np.stack(motion).astype(np.float32)


def _with_band(hole: Bools) -> Bools:
    """The hole alone where the band would leave next to nothing of the frame."""
    wide = near(hole, min(BAND_PX, min(hole.shape) // 8))
    return wide if wide.mean() < 1 - _MIN_KNOWN else hole
