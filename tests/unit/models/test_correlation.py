"""Correlation and its lookup: order of the window, levels, edges."""

import pytest
import torch

from propainter.models.raft.correlation import CorrelationPyramid, correlate

ROWS, COLUMNS = 16, 17

pytestmark = pytest.mark.usefixtures("either_way")


def ramp_for_one_cell() -> CorrelationPyramid:
    """A map whose value at row y, column x is 100 y + x, seen from a single cell."""
    values = 100.0 * torch.arange(ROWS)[:, None] + torch.arange(COLUMNS)
    return CorrelationPyramid(values.view(1, 1, -1), ROWS, COLUMNS)


def look(pyramid: CorrelationPyramid, x: float, y: float) -> torch.Tensor:
    return pyramid.lookup(torch.tensor([x, y]).view(1, 2, 1, 1)).view(4, 9, 9)


def test_the_window_steps_along_x_first_then_along_y() -> None:
    window = look(ramp_for_one_cell(), 6.25, 7.5)[0]
    assert window[4, 4] == 756.25
    assert window[5, 4] == 757.25
    assert window[4, 5] == 856.25


def test_what_lies_outside_is_zero_and_the_edge_fades_into_it() -> None:
    window = look(ramp_for_one_cell(), 0.0, 14.5)[0]
    assert window[3, 4] == 0
    assert window[4, 4] == 1450
    assert window[4, 5] == 750
    assert window[4, 6] == 0


def test_coarser_levels_average_and_drop_an_odd_last_column() -> None:
    level = look(ramp_for_one_cell(), 14.0, 0.0)[1]
    assert level[4, 4] == 50 + 14.5  # rows 0, 1 and columns 14, 15
    assert level[5, 4] == 0  # column 16 has no partner


def test_coordinates_beyond_any_integer_read_zero() -> None:
    assert (look(ramp_for_one_cell(), 1e30, -1e30) == 0).all()


def test_windows_anywhere_are_the_same_as_by_grid_sampling() -> None:
    volume = torch.randn(2, 6, ROWS * COLUMNS, generator=torch.Generator().manual_seed(0))
    places = torch.rand(2, 2, 2, 3, generator=torch.Generator().manual_seed(1)) * 30 - 8
    windows = CorrelationPyramid(volume, ROWS, COLUMNS).lookup(places)[:, :81].unflatten(1, (9, 9))

    x_steps, y_steps = torch.meshgrid(torch.arange(-4, 5), torch.arange(-4, 5), indexing="ij")
    x = places[:, 0, ..., None, None] + x_steps
    y = places[:, 1, ..., None, None] + y_steps
    grid = torch.stack((2 * x / (COLUMNS - 1) - 1, 2 * y / (ROWS - 1) - 1), dim=-1).view(12, 9, 9, 2)
    sampled = torch.nn.functional.grid_sample(volume.view(12, 1, ROWS, COLUMNS), grid, align_corners=True)
    torch.testing.assert_close(windows.permute(0, 3, 4, 1, 2).reshape(12, 1, 9, 9), sampled, rtol=0, atol=1e-4)


def test_correlation_is_scaled_and_its_transpose_is_the_way_back() -> None:
    first, second = torch.randn(2, 16, 3, 4), torch.randn(2, 16, 3, 4)
    volume = correlate(first, second)
    expected = (first[1, :, 2, 1] * second[1, :, 0, 3]).sum() / 4
    torch.testing.assert_close(volume[1, 2 * 4 + 1, 3], expected)
    torch.testing.assert_close(volume.transpose(1, 2), correlate(second, first))
