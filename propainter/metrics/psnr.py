"""Peak signal to noise ratio, of whole frames or of holes alone."""

import cv2
import numpy as np
from numpy.typing import NDArray

PEAK = 255.0
MOST_DB = 100.0
"""What equal frames get, and no pair of frames more: a mean over frames stays finite."""


def squared_error(
    result: NDArray[np.uint8], truth: NDArray[np.uint8], hole: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What `psnr_db` is made of; sums of frames, or of clips, may be added up first.

    Args:
        result, truth: RGB, (T, H, W, 3).
        hole: (T, H, W), the pixels to count; None: all.

    Returns:
        (T,) sum of squared differences in grey levels, and (T,) how many values were compared, three a pixel.
    """
    sums = np.empty(len(result), np.float64)
    for index in range(len(result)):  # frame by frame: a clip's differences would take eight times its memory
        error = np.square(cv2.absdiff(result[index], truth[index]), dtype=np.int64)
        sums[index] = error.sum() if hole is None else error[hole[index]].sum()
    pixels = np.full(len(result), result[0].size) if hole is None else 3 * hole.sum(axis=(1, 2))
    return sums, pixels.astype(np.int64)


def psnr_db(error: NDArray[np.float64], values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Decibels of each (sum of squared differences, values compared); NaN where none were compared."""
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels = 10 * np.log10(PEAK**2 * values / error)
    return np.where(values > 0, np.minimum(decibels, MOST_DB), np.nan)
