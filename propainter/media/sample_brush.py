"""What the demo's pictures are painted with: value noise, soft steps and light from the upper left."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[Any]
"""Floating levels in 0..1, (rows, columns, 3) RGB or (rows, columns)."""


def value_noise(
    rng: np.random.Generator, shape: tuple[int, int], cell_px: tuple[float, float], octaves: int
) -> Picture:
    """About -1 to 1, in an array of this shape; the largest features are cell_px, height and width."""
    total, weight, weight_sum = np.zeros(shape, np.float32), 1.0, 0.0
    for octave in range(octaves):
        rows, columns = (max(side / cell * 2**octave, 0.0) for side, cell in zip(shape, cell_px, strict=True))
        if octave and max(rows / shape[0], columns / shape[1]) > 1:
            break
        # The grid is larger than it must be and starts anywhere between its knots, so that octaves do not line up.
        grid = rng.random((math.ceil(rows) + 3, math.ceil(columns) + 3), dtype=np.float32) * 2 - 1
        start_row, start_column = 1 + rng.random(2)
        scale_row, scale_column = rows / shape[0], columns / shape[1]
        place = np.array([[scale_column, 0, start_column], [0, scale_row, start_row]], np.float32)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        total += weight * cv2.warpAffine(grid, place, shape[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
        weight_sum += weight**2
        weight *= 0.55
    return total / math.sqrt(weight_sum)


def step(low: float, high: float, value: Picture) -> Picture:
    """0 at low, 1 at high, smooth between; low may be the larger."""
    ramp = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def rgb(red: float, green: float, blue: float) -> Picture:
    """A colour from its levels of 0 to 255."""
    return np.array((red / 255, green / 255, blue / 255), np.float32)


def between(low: Picture, high: Picture, share: Picture) -> Picture:
    """The colours from low, where share is 0, to high, where it is 1."""
    return np.asarray(low + (high - low) * share[..., None])


def lit(height: Picture, strength: float) -> Picture:
    """How much a surface of this height catches the light from the upper left, about 0."""
    down, right = np.gradient(height)
    return np.asarray(np.clip((down + right) * strength, -1, 1))
