"""Values spread smoothly from a hole's rim into the hole: the harmonic (Laplace) fill, coarse to fine."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

_CROSS = np.array([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]], np.float32)
_SWEEPS = 12
"""Jacobi steps per level. A level starts from the coarser one's solution, so they only have to smooth one octave."""

_MARGIN_PX = 8

Box = tuple[slice, slice]
"""Rows and columns."""


def hole_box(hole: NDArray[np.bool_], margin_px: int = 0) -> Box:
    """Rows and columns of the smallest box around a hole that is not empty, with a margin that stays in the frame."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    height, width = hole.shape
    return (
        slice(max(int(rows[0]) - margin_px, 0), min(int(rows[-1]) + 1 + margin_px, height)),
        slice(max(int(columns[0]) - margin_px, 0), min(int(columns[-1]) + 1 + margin_px, width)),
    )


def parts_of(hole: NDArray[np.bool_], margin_px: int = 0) -> Iterator[tuple[Box, NDArray[np.bool_]]]:
    """The connected parts of a hole: several small ones must not cost the box around all of them.

    Yields:
        The box around a part, with a margin that stays in the frame; and (rows, columns) of it, True in this part.
    """
    height, width = hole.shape
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(hole.view(np.uint8), ltype=cv2.CV_32S)
    for label, (left, top, wide, high, _) in enumerate(boxes[1:].tolist(), 1):
        rows = slice(max(top - margin_px, 0), min(top + high + margin_px, height))
        columns = slice(max(left - margin_px, 0), min(left + wide + margin_px, width))
        yield (rows, columns), labels[rows, columns] == label


def near(hole: NDArray[np.bool_], distance_px: int) -> NDArray[np.bool_]:
    """The hole and what lies within a distance of it."""
    out = np.zeros_like(hole)
    if hole.any():
        box = hole_box(hole, distance_px)
        out[box] = cv2.distanceTransform((~hole[box]).astype(np.uint8), cv2.DIST_L2, 3) <= distance_px
    return out


def spread(values: NDArray[np.float32], unknown: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill the unknown pixels so that each is the mean of its four neighbours; the known ones stay.

    Args:
        values: (H, W, C), C at most 4; what is under unknown is not read.
        unknown: (H, W).

    Returns:
        (H, W, C); zeros where nothing is known at all.
    """
    out = values.copy()
    if not unknown.any():
        return out
    box = hole_box(unknown, _MARGIN_PX)
    out[box] = _solve(np.where(unknown[box][..., None], np.float32(0), out[box]), unknown[box])
    return out


def _solve(values: NDArray[np.float32], unknown: NDArray[np.bool_]) -> NDArray[np.float32]:
    """values are 0 where unknown. A coarse cell is known if any of its pixels is, as their mean."""
    height, width = unknown.shape
    if min(height, width) <= 2 or not unknown.any():
        known = ~unknown
        mean = values[known].mean(axis=0) if known.any() else np.zeros(values.shape[2], np.float32)
        return np.where(unknown[..., None], mean, values).astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    weight = cv2.resize((~unknown).astype(np.float32), half, interpolation=cv2.INTER_AREA)
    total = cv2.resize(values, half, interpolation=cv2.INTER_AREA).reshape(half[1], half[0], -1)
    coarse_unknown = weight < 1e-3
    coarse = np.where(coarse_unknown[..., None], np.float32(0), total / np.maximum(weight, 1e-3)[..., None])
    guess = cv2.resize(_solve(coarse, coarse_unknown), (width, height), interpolation=cv2.INTER_LINEAR)
    out = values.copy()
    where = unknown.view(np.uint8)
    cv2.copyTo(guess, where, out)
    for _ in range(_SWEEPS):
        cv2.copyTo(cv2.filter2D(out, -1, _CROSS, borderType=cv2.BORDER_REPLICATE), where, out)
    return out
