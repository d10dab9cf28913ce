"""The one motion of a pair of frames: a plane's homography, fitted to both directions of its flow together.

Tolerances grow with the motion: flow errs by a share of it, so what is near enough in a slow small frame is too strict
in a fast large one. P points, arrays of (x, y) in pixels.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.membrane import Box

_SAMPLES = 1500
"""Of each direction."""

_MIN_SAMPLES = 12
_INLIER_PX2 = 0.25
_MOTION_SHARE = 0.001
"""Of the squared motion: flow errs by some 3 % of its length. Measured on a fast clip of 972x540: with none of it an
object's hole is 2.5 dB worse, with the 1 % of the consistency check a moving hole 1.7 dB."""

_GOOD_FIT = 0.5

Floats = NDArray[np.float32]
Plane = NDArray[Any]
"""Homography (3, 3) from pixels of a pair's first frame to those of its second."""


def plane_motions(pair_22HW: Floats, unseen_2HW: NDArray[np.bool_], boxes: Sequence[Box]) -> list[Floats]:
    """The plane that the frame moves with; the plane of a box's surroundings where that explains them better (a near
    wall in front of a far scene, or one of several holes over something that moves by itself).

    Args:
        pair_22HW: forward, then backward.
        unseen_2HW: where the forward flow, and where the backward flow is not to be read.
        boxes: in which the motion is wanted.

    Returns:
        For each box its motion (2, 2, rows, columns), forward and backward; zero where less is known than decides
        anything.
    """
    height, width = unseen_2HW.shape[1:]
    far = _plane_in(pair_22HW, unseen_2HW, (slice(0, height), slice(0, width)), boxes)
    if far is None:
        return [np.zeros((2, 2, *_size(box)), np.float32) for box in boxes]
    return [_better(pair_22HW, unseen_2HW, box, motion) for box, motion in zip(boxes, far, strict=True)]


def _better(pair_22HW: Floats, unseen_2HW: NDArray[np.bool_], box: Box, far: Floats) -> Floats:
    """The motion given, or that of the box's surroundings."""
    far_fit = _fit(pair_22HW, far, unseen_2HW, box)
    if far_fit > _GOOD_FIT:
        return far
    near = _plane_in(pair_22HW, unseen_2HW, _surroundings(box, *unseen_2HW.shape[1:]), [box])
    return near[0] if near is not None and _fit(pair_22HW, near[0], unseen_2HW, box) > far_fit else far


def squared_length(flow: Floats) -> Floats:
    """Of (dx, dy) along the first axis, in px^2; many times faster than a sum over so short an axis."""
    length_px2: Floats = np.square(flow[0]) + np.square(flow[1])
    return length_px2


def tolerance_px2(flow: Floats, least_px2: float) -> float:
    """How far from right is right enough, for flow (2, ...) like this: least_px2, and a share of the motion."""
    return least_px2 + _MOTION_SHARE * float(np.median(squared_length(flow)))


def _size(box: Box) -> tuple[int, int]:
    return box[0].stop - box[0].start, box[1].stop - box[1].start


def _surroundings(box: Box, height: int, width: int) -> Box:
    """The box with as much again on every side as stays in the frame."""
    rows, columns = (
        slice(max(2 * side.start - side.stop, 0), min(2 * side.stop - side.start, limit))
        for side, limit in zip(box, (height, width), strict=True)
    )
    return rows, columns


def _fit(pair_22HW: Floats, motion: Floats, unseen_2HW: NDArray[np.bool_], box: Box) -> float:
    """How well the motion explains what is known in the box: 1 exactly, 0 not at all."""
    seen_2HW = ~unseen_2HW[:, *box]
    if not seen_2HW.any():
        return 1.0
    here = pair_22HW[:, :, *box].transpose(1, 0, 2, 3)
    known_2N = here[:, seen_2HW]
    error_px2 = squared_length(known_2N - motion.transpose(1, 0, 2, 3)[:, seen_2HW])
    return float((1 / (1 + error_px2 / tolerance_px2(known_2N, 1.0))).mean())


def _plane_in(
    pair_22HW: Floats, unseen_2HW: NDArray[np.bool_], source: Box, boxes: Sequence[Box]
) -> list[Floats] | None:
    """Fit to the known flow of source. None where less is known than decides anything."""
    before, after = [], []
    for direction, (flow_2HW, unseen) in enumerate(zip(pair_22HW, unseen_2HW, strict=True)):
        start, stop = _samples(flow_2HW, unseen, source)
        before.append(stop if direction else start)
        after.append(start if direction else stop)
    start_P2, stop_P2 = np.concatenate(before), np.concatenate(after)
    if len(start_P2) < _MIN_SAMPLES:
        return None
    limit_px = float(np.abs(stop_P2 - start_P2).max()) + 0.05 * max(unseen_2HW.shape[1:])
    for plane in _planes(start_P2, stop_P2):
        ways = plane, np.linalg.inv(plane)
        motions = [np.stack([_motion(way, box) for way in ways]) for box in boxes]
        if all(np.isfinite(motion).all() and np.abs(motion).max() <= limit_px for motion in motions):
            break
    return motions


def _samples(flow_2HW: Floats, unseen: NDArray[np.bool_], source: Box) -> tuple[Floats, Floats]:
    """Places on a grid of source where flow is known, and where it takes them: (P, 2) each."""
    rows, columns = source
    high, wide = _size(source)
    step = max(1, int((high * wide / _SAMPLES) ** 0.5))
    y, x = np.nonzero(~unseen[rows.start : rows.stop : step, columns.start : columns.stop : step])
    y, x = y * step + rows.start, x * step + columns.start
    start_P2 = np.stack([x, y], axis=-1).astype(np.float32)
    return start_P2, start_P2 + flow_2HW[:, y, x].T


def _planes(start_P2: Floats, stop_P2: Floats) -> Iterator[Plane]:
    """Homography, else affine map, else shift: the last is always sane. Draws are seeded, USAC by itself."""
    inlier_px = tolerance_px2((stop_P2 - start_P2).T, _INLIER_PX2) ** 0.5
    homography = cv2.findHomography(start_P2, stop_P2, cv2.USAC_FAST, inlier_px)[0]
    if homography is not None and abs(np.linalg.det(homography)) > 1e-6:
        yield homography
    cv2.setRNGSeed(0)
    affine = cv2.estimateAffine2D(start_P2, stop_P2, ransacReprojThreshold=inlier_px)[0]
    if affine is not None and abs(np.linalg.det(affine[:, :2])) > 1e-6:
        plane = np.eye(3)
        plane[:2] = affine
        yield plane
    shift = np.eye(3)
    shift[:2, 2] = np.median(stop_P2 - start_P2, axis=0)
    yield shift


def _motion(plane: Plane, box: Box) -> Floats:
    rows, columns = np.mgrid[box]
    grid_HW2 = np.stack([columns, rows], axis=-1).astype(np.float32)
    moved_HW2 = cv2.perspectiveTransform(grid_HW2, plane)
    return np.ascontiguousarray((moved_HW2 - grid_HW2).transpose(2, 0, 1), np.float32)
