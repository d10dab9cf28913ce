import numpy as np
import pytest

from propainter.metrics.psnr import psnr_db, squared_error


def grey(frames: int = 2) -> np.ndarray:
    return np.full((frames, 4, 6, 3), 100, np.uint8)


def test_one_pixel_off_by_ten_is_counted_in_its_frame_alone() -> None:
    result = grey()
    result[1, 2, 3] = (110, 100, 90)
    error, values = squared_error(result, grey())
    np.testing.assert_array_equal(error, [0, 200])
    np.testing.assert_array_equal(values, [72, 72])
    assert psnr_db(error, values)[1] == pytest.approx(10 * np.log10(255**2 * 72 / 200))


def test_equal_frames_get_a_hundred_decibels() -> None:
    assert psnr_db(*squared_error(grey(), grey())).tolist() == [100, 100]


def test_inside_the_hole_only_its_pixels_count() -> None:
    result, hole = grey(), np.zeros((2, 4, 6), np.bool_)
    hole[1, :2, :3] = True
    result[1, 0, 0] = 103
    result[:, 3, 5] = 0
    error, values = squared_error(result, grey(), hole)
    np.testing.assert_array_equal(error, [0, 27])
    np.testing.assert_array_equal(values, [0, 18])
    assert np.isnan(psnr_db(error, values)[0])
