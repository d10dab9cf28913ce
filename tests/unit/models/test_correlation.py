"""Correlation and its lookup: order of the window, levels, edges."""

import torch

from propainter.models.raft.correlation import CorrelationPyramid, correlate

ROWS, COLUMNS = 16, 17


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


def test_correlation_is_scaled_and_its_transpose_is_the_way_back() -> None:
    first, second = torch.randn(2, 16, 3, 4), torch.randn(2, 16, 3, 4)
    volume = correlate(first, second)
    expected = (first[1, :, 2, 1] * second[1, :, 0, 3]).sum() / 4
    torch.testing.assert_close(volume[1, 2 * 4 + 1, 3], expected)
    torch.testing.assert_close(volume.transpose(1, 2), correlate(second, first))
