import numpy as np
import pytest

from propainter.core.errors import ShapeError
from propainter.metrics.ssim import ssim


def test_a_frame_is_like_itself() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 70, 80, 3), dtype=np.uint8)
    np.testing.assert_allclose(ssim(frames, frames), [1, 1])


@pytest.mark.parametrize("window_px", [64, 67, 1])
def test_a_window_that_does_not_fit_is_refused_with_both_sizes(window_px: int) -> None:
    frames = np.zeros((1, 66, 80, 3), np.uint8)
    with pytest.raises(ShapeError, match=rf"window of {window_px} pixels.*80x66.*--ssim-window"):
        ssim(frames, frames, window_px)
