"""Made-up holes for training and for test clips: a polygon, a rounded blob or a brush stroke, still or drifting.

The same generator state gives the same holes. Owns shapes and their way; which clip gets which is for others.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

STILL_SHARE = 0.5
MAX_DRIFT_PX = 3.0
"""A frame. The way bends a little from frame to frame, and turns back at the borders."""

_SHIFT_BITS = 4
"""OpenCV draws in sixteenths of a pixel: a slow shape moves every frame, and not in jumps."""


def random_holes(rng: np.random.Generator, frames: int, height_px: int, width_px: int) -> Iterator[NDArray[np.bool_]]:
    """One shape through a clip; no frame is without a hole, none is all hole.

    Yields:
        Per frame (height_px, width_px), True inside.
    """
    half = np.array([width_px, height_px]) * rng.uniform(1 / 8, 1 / 3, 2)
    points, stroke_px = _outline(rng, half)
    drift = np.zeros(2) if rng.random() < STILL_SHARE else _velocity(rng)
    for centre in _way(rng, frames, drift, half, np.array([width_px, height_px]) - half):
        hole = np.zeros((height_px, width_px), np.uint8)
        corners = np.rint((points + centre) * 2**_SHIFT_BITS).astype(np.int32)
        if stroke_px:
            cv2.polylines(hole, [corners], False, 1, stroke_px, cv2.LINE_8, _SHIFT_BITS)
        else:
            cv2.fillPoly(hole, [corners], 1, cv2.LINE_8, _SHIFT_BITS)
        yield hole.astype(np.bool_)


def _outline(rng: np.random.Generator, half: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Points (n, 2) as x, y around 0, within half a shape's width and height; and a stroke's width, or 0: filled."""
    kind = rng.choice(["polygon", "blob", "stroke"])
    corners = int(rng.integers(4, 10))
    if kind == "stroke":
        return _bend(rng.uniform(-0.9, 0.9, (corners, 2)), closed=False) * half, max(2, round(half.min() / 2))
    angles = (np.arange(corners) + rng.uniform(0, 0.8, corners)) * 2 * np.pi / corners
    radii = rng.uniform(0.5, 1, corners)
    points = np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)
    return (points if kind == "polygon" else _bend(points, closed=True)) * half, 0


def _bend(corners: NDArray[np.float64], *, closed: bool) -> NDArray[np.float64]:
    """A quadratic B-spline: a smooth curve that stays within its corners' hull."""
    ends = corners if closed else np.concatenate([corners[:1], corners, corners[-1:]])
    before, here, after = (ends, np.roll(ends, -1, 0), np.roll(ends, -2, 0))
    t = np.linspace(0, 1, 8, endpoint=False)[:, None, None]
    curve = ((1 - t) ** 2 * before + (1 + 2 * t - 2 * t**2) * here + t**2 * after) / 2
    pieces = curve.swapaxes(0, 1)
    return (pieces if closed else pieces[:-2]).reshape(-1, 2)


def _velocity(rng: np.random.Generator) -> NDArray[np.float64]:
    angle, speed_px = rng.uniform(0, 2 * np.pi), rng.uniform(MAX_DRIFT_PX / 6, MAX_DRIFT_PX)
    return np.array([np.cos(angle), np.sin(angle)]) * speed_px


def _way(
    rng: np.random.Generator,
    frames: int,
    drift: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> Iterator[NDArray[np.float64]]:
    """Per frame a centre (x, y) between low and high: the whole shape stays in the picture."""
    centre = rng.uniform(low, high)
    for _ in range(frames):
        yield centre
        if drift.any():
            drift = drift + rng.normal(0, 0.2, 2)
            drift = drift * min(1.0, MAX_DRIFT_PX / float(np.linalg.norm(drift)))
            drift = np.where((centre + drift < low) | (centre + drift > high), -drift, drift)
            centre = np.clip(centre + drift, low, high)
