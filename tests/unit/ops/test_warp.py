"""Warping and the consistency of two flows."""

import pytest
import torch

from propainter.ops.consistency import consistent
from propainter.ops.warp import warp


def shift(dx: float, dy: float, height: int = 4, width: int = 5) -> torch.Tensor:
    return torch.tensor([dx, dy], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, height, width)


def ramp(height: int = 4, width: int = 5) -> torch.Tensor:
    return (torch.arange(width) + 10.0 * torch.arange(height)[:, None])[None, None]


def test_a_whole_shift_reads_the_neighbour_and_zero_outside() -> None:
    warped = warp(ramp(), shift(1, 0))
    assert torch.allclose(warped[..., :4], ramp()[..., 1:], atol=1e-5)
    assert (warped[..., 4] == 0).all()


def test_half_a_pixel_is_the_mean_of_two() -> None:
    assert torch.allclose(warp(ramp(), shift(0.5, 0))[0, 0, 2, :4], torch.tensor([20.5, 21.5, 22.5, 23.5]), atol=1e-4)


def test_dy_moves_along_rows() -> None:
    assert torch.allclose(warp(ramp(), shift(0, -1))[0, 0, 1:], ramp()[0, 0, :3], atol=1e-5)


def test_nearest_takes_the_even_pixel_halfway() -> None:
    # 5 columns: the grid's normalisation by 4 is exact, so halves stay halves.
    assert warp(ramp(), shift(0.5, 0), mode="nearest")[0, 0, 0].tolist() == [0, 2, 2, 4, 4]


def test_one_row_of_pixels_can_be_warped() -> None:
    assert torch.isfinite(warp(ramp(1, 5), shift(1, 0, 1, 5))).all()


@pytest.mark.parametrize(("error_px", "expected"), [(0.70, True), (0.72, False)])
def test_small_flows_agree_within_the_root_of_half_a_pixel(error_px: float, expected: bool) -> None:
    assert bool(consistent(shift(0, 0), shift(error_px, 0))[0, 0, 1, 1]) is expected


def test_large_flows_may_differ_by_more() -> None:
    # 40 px against -38: 4 < 0.01 (1600 + 1444) + 0.5, yet over the 0.5 of small flows.
    result = consistent(shift(40, 0, 4, 100), shift(-38, 0, 4, 100))
    assert result.shape == (1, 1, 4, 100)
    assert bool(result[0, 0, 1, 10])


def test_a_target_outside_the_frame_agrees_only_if_the_flow_is_small() -> None:
    assert bool(consistent(shift(0.6, 0), shift(-0.6, 0))[0, 0, 1, 4])
    assert not bool(consistent(shift(3, 0), shift(-3, 0))[0, 0, 1, 4])
