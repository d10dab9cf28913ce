"""Our figures against scikit-image's, on photographs that it ships."""

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from propainter.metrics.psnr import psnr_db, squared_error
from propainter.metrics.ssim import ssim

TRUTH = np.stack([photo()[:240, :320] for photo in (skimage.data.astronaut, skimage.data.coffee, skimage.data.chelsea)])


def noisy() -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(scale=12, size=TRUTH.shape)
    return np.clip(TRUTH + noise, 0, 255).astype(np.uint8)


def blurred() -> NDArray[np.uint8]:
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 3) for frame in TRUTH])


def flat_box() -> NDArray[np.uint8]:
    result = TRUTH.copy()
    result[:, 80:140, 100:180] = 128
    return result


@pytest.mark.parametrize("damage", [noisy, blurred, flat_box])
def test_psnr_is_scikit_images(damage) -> None:
    result = damage()
    theirs = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(TRUTH, result, strict=True)]
    np.testing.assert_allclose(psnr_db(*squared_error(result, TRUTH)), theirs, rtol=1e-12)


@pytest.mark.parametrize("window_px", [7, 65])
@pytest.mark.parametrize("damage", [noisy, blurred, flat_box])
def test_ssim_is_scikit_images(damage, window_px: int) -> None:
    result = damage()
    theirs = [
        structural_similarity(a, b, win_size=window_px, data_range=255, channel_axis=-1)
        for a, b in zip(TRUTH, result, strict=True)
    ]
    # Windows are summed in another order: float64 sums of 65 x 65 squares of up to 255.
    np.testing.assert_allclose(ssim(result, TRUTH, window_px), theirs, rtol=1e-9)
