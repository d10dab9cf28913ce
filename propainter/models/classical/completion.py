"""What the background does behind the hole: one motion for the frame, and what the hole's surroundings add to it.

Flow near the hole still follows the object (dense inverse search compares patches wider than the object's outline), so
nothing is read from a band around it.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.membrane import hole_box, near, spread

BAND_PX = 24
"""How far the object's motion leaks out of the hole: measured, see docs/stages/classical-engine.md."""

_SAMPLES = 3000
_MIN_SAMPLES = 12
_MIN_KNOWN = 0.05
_INLIER_PX = 0.5
_RESIDUAL_PX = 1.0
"""What the rim adds counts by 1 / (1 + (residual / this)^2): a passing object's motion must not flow into the hole."""

_GOOD_FIT = 0.5

_MARGIN_PX = 8


def complete(flow: NDArray[np.float32], hole: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill flow inside holes; known flow comes back unchanged. Shapes as in stages.complete_flow."""
    out = flow.copy()
    for pair in range(len(flow)):
        for direction in (0, 1):
            inside = hole[pair + direction]
            if inside.any():
                background = estimate_background(flow[pair, direction], inside)
                box = background.box
                np.copyto(out[pair, direction][:, *box], background.flow, where=inside[box])
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """The background's flow (2, rows, columns) in a box of the frame."""

    box: tuple[slice, slice]
    flow: NDArray[np.float32]


def estimate_background(flow_2HW: NDArray[np.float32], hole: NDArray[np.bool_]) -> Background:
    """What the background does in the hole, which is not empty, and in the band around it; elsewhere flow as given."""
    unseen = _with_band(hole)
    flow_HW2 = flow_2HW.transpose(1, 2, 0)
    box = hole_box(unseen, margin_px=_MARGIN_PX)
    motion = _motion(flow_HW2, unseen, box)
    residual = flow_HW2[box] - motion
    residual /= 1 + np.square(residual / _RESIDUAL_PX).sum(axis=-1, keepdims=True)
    filled_HW2 = np.where(unseen[box][..., None], motion + spread(residual, unseen[box]), flow_HW2[box])
    return Background(box=box, flow=filled_HW2.transpose(2, 0, 1))


def _with_band(hole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The hole alone where the band would leave next to nothing of the frame."""
    wide = near(hole, min(BAND_PX, min(hole.shape) // 8))
    return wide if wide.mean() < 1 - _MIN_KNOWN else hole


def _motion(flow_HW2: NDArray[np.float32], unseen: NDArray[np.bool_], box: tuple[slice, slice]) -> NDArray[np.float32]:
    """The plane that the frame moves with, inside box; the plane of the hole's surroundings where that explains them
    better (a near wall in front of a far scene)."""
    height, width = unseen.shape
    frame = slice(0, height), slice(0, width)
    far = _plane_motion(flow_HW2, unseen, frame, box)
    if far is None:
        return np.zeros_like(flow_HW2[box])
    rim = ~unseen[box]
    if not rim.any() or _fit(flow_HW2[box], far, rim) > _GOOD_FIT:
        return far
    rows, columns = box
    grow_rows, grow_columns = rows.stop - rows.start, columns.stop - columns.start
    near_box = (
        slice(max(rows.start - grow_rows, 0), min(rows.stop + grow_rows, height)),
        slice(max(columns.start - grow_columns, 0), min(columns.stop + grow_columns, width)),
    )
    near = _plane_motion(flow_HW2, unseen, near_box, box)
    if near is None or _fit(flow_HW2[box], near, rim) < _fit(flow_HW2[box], far, rim):
        return far
    return near


def _fit(flow_HW2: NDArray[np.float32], motion_HW2: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    error_px2 = np.square(flow_HW2[where] - motion_HW2[where]).sum(axis=-1)
    return float((1 / (1 + error_px2)).mean())


def _plane_motion(
    flow_HW2: NDArray[np.float32], unseen: NDArray[np.bool_], source: tuple[slice, slice], box: tuple[slice, slice]
) -> NDArray[np.float32] | None:
    """Fit a homography to the known flow of source, else an affine map, else a shift; its flow inside box.

    None where less is known than decides anything. The random draws are seeded: the result is a function of the flow.
    """
    rows, columns = source
    step = max(1, int(((rows.stop - rows.start) * (columns.stop - columns.start) / _SAMPLES) ** 0.5))
    y, x = np.nonzero(~unseen[rows.start : rows.stop : step, columns.start : columns.stop : step])
    if len(y) < _MIN_SAMPLES:
        return None
    start = np.stack([x * step + columns.start, y * step + rows.start], axis=-1).astype(np.float32)
    moved = flow_HW2[y * step + rows.start, x * step + columns.start]
    box_rows, box_columns = np.mgrid[box]
    grid = np.stack([box_columns, box_rows], axis=-1).astype(np.float32)
    limit_px = float(np.abs(moved).max()) + 0.05 * max(unseen.shape)
    moved_to = start + moved
    for kind in ("homography", "affine"):
        cv2.setRNGSeed(0)
        if kind == "homography":
            plane = cv2.findHomography(start, moved_to, cv2.RANSAC, _INLIER_PX)[0]
        else:
            affine = cv2.estimateAffine2D(start, moved_to, ransacReprojThreshold=_INLIER_PX)[0]
            plane = None if affine is None else np.vstack([affine, [0, 0, 1]])
        if plane is not None:
            motion = (cv2.perspectiveTransform(grid, plane) - grid).astype(np.float32)
            if np.isfinite(motion).all() and np.abs(motion).max() <= limit_px:
                return motion
    return np.broadcast_to(np.median(moved, axis=0).astype(np.float32), grid.shape)
