"""3x3 convolution with 2.25 times fewer multiplications: Winograd's along rows, direct along columns.

Axes: B batch, C and O channels in and out, H rows, W columns; T tiles of 6 result rows, each made from n = 8 rows:
    weights = transform_weights(weight_OC33)
    out_BOHW = conv3x3(image_BCHW, weights, bias_O, groups)
For float32 on a CPU, where arithmetic is what a convolution costs. Twice the tile, or tiles both ways, would save more
multiplications than it costs in rounding and in passes over memory. Source: Lavin and Gray, CVPR 2016; the points of
interpolation are 0, 1, -1, 2, -2, 1/2, -1/2 and infinity.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

TILE = 6
_TAPS = 3
_POINTS = np.array([0, 1, -1, 2, -2, 0.5, -0.5])
_ROWS = TILE + _TAPS - 1

_CHUNK_BYTES = 16 * 2**20
"""Of what is between the transforms: beyond, it leaves the caches; below, calls cost more than they do."""


def transform_weights(weight_OC33: Tensor) -> list[Tensor]:
    """The kernel as the eight products see it, (O, C, 1, 3) each."""
    from_taps_n3 = _matrices()[0].to(weight_OC33.device)
    planes = torch.einsum("nr,ocrs->nocs", from_taps_n3, weight_OC33.double()).to(weight_OC33.dtype)
    return [plane[:, :, None].contiguous(memory_format=torch.channels_last) for plane in planes]


def conv3x3(image_BCHW: Tensor, weights: list[Tensor], bias_O: Tensor, groups: int = 1, *, padding: int = 1) -> Tensor:
    """As torch.nn.functional.conv2d with stride 1, up to rounding: three times its error.

    Args:
        image_BCHW: float32.
        weights: as transform_weights returns them.
        padding: 1 keeps the sides, 0 takes a pixel from each.

    Returns:
        (B, O, H, W), channels last in memory.
    """
    _, from_rows, to_rows = (matrix.to(image_BCHW.dtype) for matrix in _matrices())
    B, C, H, W = image_BCHW.shape
    height, width = H - 2 + 2 * padding, W - 2 + 2 * padding
    T = -(-height // TILE)
    below = T * TILE + _TAPS - 1 - H - padding
    padded = F.pad(image_BCHW.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, below))
    rows_BHw = padded.reshape(B, T * TILE + _TAPS - 1, -1)
    out_BHw = image_BCHW.new_empty(B, T * TILE, width * len(bias_O))
    tiles = [(b, TILE * t) for b in range(B) for t in range(T)]
    at_once = max(1, _CHUNK_BYTES // (4 * _ROWS * (W * C + width * len(bias_O))))
    for start in range(0, len(tiles), at_once):
        chunk = tiles[start : start + at_once]
        mixed_nTw = image_BCHW.new_empty(_ROWS, len(chunk), rows_BHw.shape[2])
        for index, (b, row) in enumerate(chunk):
            torch.mm(from_rows, rows_BHw[b, row : row + _ROWS], out=mixed_nTw[:, index])
        mixed_nCTW = mixed_nTw.view(_ROWS, len(chunk), -1, C).permute(0, 3, 1, 2)
        products = [
            F.conv2d(plane[None], weight, groups=groups)[0].permute(1, 2, 0).flatten(1)
            for plane, weight in zip(mixed_nCTW, weights, strict=True)
        ]
        products_nTw = torch.stack(products)
        for index, (b, row) in enumerate(chunk):
            torch.mm(to_rows, products_nTw[:, index], out=out_BHw[b, row : row + TILE])
    out_BHWO = out_BHw.view(B, T * TILE, width, -1)[:, :height]
    out_BHWO = out_BHWO.add_(bias_O) if height == T * TILE else out_BHWO + bias_O
    return out_BHWO.permute(0, 3, 1, 2)


@cache
def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """Kernel taps to products (n, 3), rows to products (n, n), products to rows (TILE, n); float64.

    Toom and Cook's: product j belongs to the point p of interpolation, the last one to infinity. The kernel is
    evaluated there as a polynomial, divided by p's distances to the other points; rows by the polynomial whose zeros
    are the other points; and products come back as powers of p.
    """
    from_taps, from_rows = np.zeros((_ROWS, _TAPS)), np.zeros((_ROWS, _ROWS))
    to_rows = np.zeros((TILE, _ROWS))
    for j, p in enumerate(_POINTS):
        others = np.delete(_POINTS, j)
        from_taps[j] = p ** np.arange(_TAPS) / np.prod(p - others)
        from_rows[j, :-1] = np.poly(others)[::-1]
        to_rows[:, j] = p ** np.arange(TILE)
    from_taps[-1, -1] = to_rows[-1, -1] = 1
    from_rows[-1] = np.poly(_POINTS)[::-1]
    return torch.from_numpy(from_taps), torch.from_numpy(from_rows), torch.from_numpy(to_rows)
