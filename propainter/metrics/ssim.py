"""Structural similarity (Wang et al. 2004) with a uniform window, as scikit-image computes it for 8-bit colour."""

import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.core.errors import ShapeError

PUBLISHED_WINDOW_PX = 65
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(
    result: NDArray[np.uint8], truth: NDArray[np.uint8], window_px: int = PUBLISHED_WINDOW_PX
) -> NDArray[np.float64]:
    """Similarity of each pair of frames: mean over colours and over all windows that lie in the frame.

    `structural_similarity(a, b, win_size=window_px, data_range=255, channel_axis=-1)` of scikit-image, which is its
    older `compare_ssim(..., multichannel=True)`: sample covariance, no Gaussian.

    Args:
        result, truth: RGB, (T, H, W, 3).
        window_px: side of the window; odd.

    Returns:
        (T,), at most 1.

    Raises:
        ShapeError: the window is even, or larger than the frame.
    """
    height, width = truth.shape[1:3]
    if not 3 <= window_px <= min(height, width) or window_px % 2 == 0:
        raise ShapeError(
            f"SSIM's window of {window_px} pixels does not go with frames of {width}x{height}. "
            "Give an odd --ssim-window that fits into them."
        )
    return np.array([_of_frame(*pair, window_px) for pair in zip(result, truth, strict=True)], np.float64)


def _of_frame(result: NDArray[np.uint8], truth: NDArray[np.uint8], window_px: int) -> float:
    a, b = result.astype(np.float64), truth.astype(np.float64)
    edge = window_px // 2

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.blur(values, (window_px, window_px)), np.float64)[edge:-edge, edge:-edge]

    mean_a, mean_b = mean(a), mean(b)
    unbiased = window_px**2 / (window_px**2 - 1)
    variance_a = unbiased * (mean(a * a) - mean_a * mean_a)
    variance_b = unbiased * (mean(b * b) - mean_b * mean_b)
    covariance = unbiased * (mean(a * b) - mean_a * mean_b)
    alike = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    return float((alike / ((mean_a**2 + mean_b**2 + C1) * (variance_a + variance_b + C2))).mean())
