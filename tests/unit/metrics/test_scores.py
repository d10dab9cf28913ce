import numpy as np
import pytest

from propainter.metrics.scores import FrameScores, joined


def scores(psnr_db: list[float], hole_error: list[float], hole_values: list[int], e_warp: list[float]) -> FrameScores:
    return FrameScores(
        psnr_db=np.array(psnr_db), ssim=np.array(psnr_db) / 100, hole_error=np.array(hole_error),
        hole_values=np.array(hole_values), e_warp=np.array(e_warp),
    )  # fmt: skip


def test_the_mean_of_clips_is_over_all_their_frames() -> None:
    short = scores([30.0], [0.0], [0], [])
    long = scores([36.0, 36.0, 39.0], [255**2 * 2, 255**2 * 4, 0], [300, 300, 0], [1e-3, 3e-3])
    together = joined([short, long]).summary()
    assert together.frames == 4
    assert together.psnr_db == pytest.approx(35.25)
    assert together.hole_psnr_db == pytest.approx(20)
    assert together.e_warp == pytest.approx(2e-3)


def test_what_was_not_measured_is_no_number_and_spoils_no_mean() -> None:
    summary = scores([30.0, 32.0], [0.0, 0.0], [0, 0], [np.nan]).summary()
    assert summary.psnr_db == 31
    assert np.isnan(summary.hole_psnr_db)
    assert np.isnan(summary.e_warp)
