"""All-pairs correlation of two feature maps, and lookups in it around moving coordinates.

Axes: B pairs, N = h * w cells of the first map, h rows, w columns; i the pyramid's level:
    volume_BNN = correlate(first_BChw, second_BChw)
    correlation_B324hw = CorrelationPyramid(volume_BNN, h, w).lookup(coordinates_B2hw)
"""

import ctypes

import torch
from torch import Tensor
from torch.nn import functional as F

from propainter.ops.compiled import library

LEVELS = 4
RADIUS = 4
_SIDE = 2 * RADIUS + 1


def correlate(first_BChw: Tensor, second_BChw: Tensor) -> Tensor:
    """Dot products of every cell of first (rows) with every cell of second (columns), over the root of C."""
    return _scaled_rows(first_BChw) @ second_BChw.flatten(2)


def correlate_both_ways(first_BChw: Tensor, second_BChw: Tensor) -> Tensor:
    """`correlate` and, after it along B, the correlation the other way round, which is its transpose."""
    B, N = len(first_BChw), first_BChw.shape[2:].numel()
    volumes = first_BChw.new_empty(2 * B, N, N)
    torch.bmm(_scaled_rows(first_BChw), second_BChw.flatten(2), out=volumes[:B])
    volumes[B:] = volumes[:B].transpose(1, 2)
    return volumes


def _scaled_rows(map_BChw: Tensor) -> Tensor:
    """(B, N, C), scaled before the product, which is the largest thing here; the root of 256 rounds nothing."""
    scale: float = map_BChw.shape[1] ** -0.5
    return map_BChw.flatten(2).transpose(1, 2) * scale


class CorrelationPyramid:
    """The volume, and three more levels with the second map's sides halved; an odd last row or column drops out."""

    def __init__(self, volume_BNN: Tensor, rows: int, columns: int) -> None:
        B, N, _ = volume_BNN.shape
        if volume_BNN.device.type == "cpu":
            volume_BNN = volume_BNN.to(torch.float32)  # what lookup.c reads
        level = volume_BNN.reshape(B * N, 1, rows, columns)
        self._levels = [level]
        for _ in range(LEVELS - 1):
            level = F.avg_pool2d(level, 2)
            self._levels.append(level)

    def lookup(self, coordinates_B2hw: Tensor) -> Tensor:
        """A 9x9 window around coordinates / 2^i at each level i, bilinear, zeros outside.

        Args:
            coordinates_B2hw: (x, y) in cells of the second map, pixel centres at integers.

        Returns:
            (B, 4 * 9 * 9, h, w): level, then the step along x, then the step along y.
        """
        B, _, h, w = coordinates_B2hw.shape
        centre_M2 = coordinates_B2hw.permute(0, 2, 3, 1).reshape(B * h * w, 2)
        if centre_M2.device.type == "cpu" and not torch.is_grad_enabled() and library() is not None:
            windows_M324 = _compiled_windows(self._levels, centre_M2.contiguous())
        else:
            windows = [_window(level, centre_M2 / 2**i) for i, level in enumerate(self._levels)]
            windows_M324 = torch.cat(windows, dim=1)
        return windows_M324.view(B, h, w, LEVELS * _SIDE**2).permute(0, 3, 1, 2)


def _compiled_windows(levels: list[Tensor], centre_M2: Tensor) -> Tensor:
    """`_window` at every level by lookup.c, which reads each patch once."""
    compiled = library()
    assert compiled is not None
    windows_M324 = centre_M2.new_empty(len(centre_M2), LEVELS * _SIDE**2)
    for i, level_M1hw in enumerate(levels):
        compiled.look_up(
            ctypes.c_void_p(level_M1hw.data_ptr()), ctypes.c_void_p(centre_M2.data_ptr()), ctypes.c_float(2.0**-i),
            ctypes.c_void_p(windows_M324[:, i * _SIDE**2 :].data_ptr()),
            *(ctypes.c_long(size) for size in (len(centre_M2), *level_M1hw.shape[2:], LEVELS * _SIDE**2)),
        )  # fmt: skip
    return windows_M324


def _window(level_M1hw: Tensor, centre_M2: Tensor) -> Tensor:
    """The 81 samples of each cell, x before y.

    All of them share one fraction, so ten whole rows and columns are read, and blended once along each axis.
    """
    M, _, rows, columns = level_M1hw.shape
    x_index_M10, *x_weights = _axis(centre_M2[:, 0], columns)
    y_index_M10, *y_weights = _axis(centre_M2[:, 1], rows)
    index = x_index_M10[:, :, None] + y_index_M10[:, None, :] * columns
    patch_Mxy = level_M1hw.view(M, rows * columns).gather(1, index.view(M, -1)).view_as(index)
    x_low_M9, x_high_M9 = x_weights
    y_low_M9, y_high_M9 = y_weights
    patch_Mxy = (patch_Mxy[:, :-1] * x_low_M9[:, :, None]).addcmul_(patch_Mxy[:, 1:], x_high_M9[:, :, None])
    patch_Mxy = (patch_Mxy[:, :, :-1] * y_low_M9[:, None]).addcmul_(patch_Mxy[:, :, 1:], y_high_M9[:, None])
    return patch_Mxy.flatten(1)


def _axis(centre_M: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ten neighbouring indices, clamped, and what the lower and the upper of each two weigh, 0 where outside."""
    floor_M = centre_M.floor()
    steps_10 = torch.arange(-RADIUS, RADIUS + 2, device=centre_M.device)
    # Clamped first: a diverged flow must not overflow an integer.
    index_M10 = floor_M.clamp(-2 * _SIDE, size + 2 * _SIDE).long()[:, None] + steps_10
    inside_M10 = (index_M10 >= 0) & (index_M10 < size)
    fraction_M1 = (centre_M - floor_M)[:, None]
    low_M9, high_M9 = (1 - fraction_M1) * inside_M10[:, :-1], fraction_M1 * inside_M10[:, 1:]
    return index_M10.clamp(0, size - 1), low_M9, high_M9
