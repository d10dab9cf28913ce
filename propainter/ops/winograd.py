"""Convolutions of stride 1 with fewer multiplications, Winograd's way, on a CPU: winograd.c, if it was compiled.

A tile of results is computed from its pixels as values of polynomials at n points, which are multiplied there. 3x3
takes 36 multiplications for 4x4 results, not 144; 1x5 and 5x1 take 10 for 6, not 30. 1x1 saves none, but is fast too.

Axes: B batch, C and O channels in and out, r and s taps, H rows, W columns:
    kernel = prepare(weight_OCrs, groups)
    out_BOHW = convolve(image_BCHW, kernel, bias_O, padding=(1, 1))
The installation compiles winograd.c where there is a C compiler; `compiled` says whether it did. Of the points that are
multiples of 1/8 these round least: two to six times what torch's direct convolution does, which the networks' results
do not show. Source: Lavin and Gray, CVPR 2016.
"""

import ctypes
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from propainter.ops.compiled import library
from propainter.ops.threads import share_out

_POINTS = {
    1: (),
    3: (0, 5 / 8, -5 / 8, 3 / 2, -3 / 2),
    5: (0, 3 / 8, -3 / 8, 7 / 8, -7 / 8, 3 / 2, -3 / 2, 5 / 2, -5 / 2),
}
"""For each number of taps; each has a last one, infinity, but a single tap, which needs none."""

_LINE = 16
"""Floats; channels are padded to whole lines of the cache."""

_ROWS = 6
"""Tiles multiplied at a time."""

_CACHE_BYTES = 384 * 2**10
"""What a block of tiles takes between the transforms: it should stay in a core's own cache."""

_FEWEST_TILES = 2 * _ROWS
"""Of a block: below, the kernel is read more often than it is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A convolution's weights as the products see them, group after group, in panels of outputs."""

    panels: Tensor
    panel: int
    taps: tuple[int, int]
    groups: int
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """What one axis of a tile needs; `to_products` and `to_results` packed as winograd_tiles.h reads them."""

    results: int
    from_taps_nr: NDArray[np.float64]
    to_products: NDArray[np.float32]
    to_results: NDArray[np.float32]


class _Job(ctypes.Structure):
    """As in winograd.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in (
            "image", "zeros", "weights", "bias", "out", "scratch", "row_factors", "column_factors", "row_powers",
            "column_powers")),
        *((name, ctypes.c_long) for name in (
            "half", "taps_rows", "taps_columns", "height", "width", "inputs", "image_step", "out_height", "out_width",
            "outputs", "out_step", "pad_rows", "pad_columns", "first", "last", "at_once")),
    )  # fmt: skip


def compiled() -> bool:
    """Whether winograd.c was compiled, and this processor has what it needs."""
    return widest_panel() > 0


def widest_panel() -> int:
    """Outputs that this processor multiplies at a time: 64, or 16 without AVX-512; 0 where winograd.c is of no use."""
    compiled_library = library()
    return 0 if compiled_library is None else int(compiled_library.widest_panel())


def prepare(weight_OCrs: Tensor, groups: int = 1) -> Kernel:
    """Weights as `convolve` takes them; once for many calls.

    Args:
        weight_OCrs: as torch.nn.functional.conv2d takes them; 3x3, 1x5, 5x1 or 1x1 taps.
    """
    panel = widest_panel()
    total, C, *taps = weight_OCrs.shape
    outputs = total // groups
    if tuple(taps) == (1, 1):
        products_gNCO = weight_OCrs.detach().float().view(groups, 1, outputs, C).transpose(2, 3)
    else:
        rows, columns = (torch.from_numpy(_axis(tap).from_taps_nr) for tap in taps)
        weight_gOCrs = weight_OCrs.detach().double().view(groups, outputs, C, *taps)
        products_gnmCO = torch.einsum("nr,gocrs,ms->gnmco", rows, weight_gOCrs, columns).float()
        products_gNCO = products_gnmCO.flatten(1, 2)
    # Panels lie one behind the other, each with its outputs innermost; the last one may be narrower.
    padded = -(-outputs // _LINE) * _LINE
    panels_gNx = products_gNCO.new_empty(*products_gNCO.shape[:2], C * padded)
    for start in range(0, padded, panel):
        width, given = min(panel, padded - start), min(panel, outputs - start)
        panel_gNCo = panels_gNx[..., start * C : (start + width) * C].unflatten(2, (C, width))
        panel_gNCo[..., :given] = products_gNCO[..., start : start + given]
        panel_gNCo[..., given:] = 0
    panels = panels_gNx.flatten()
    return Kernel(panels=panels, panel=panel, taps=(taps[0], taps[1]), groups=groups, inputs=C, outputs=outputs)


def convolve(image_BCHW: Tensor, kernel: Kernel, bias_O: Tensor | None, *, padding: tuple[int, int]) -> Tensor:
    """As torch.nn.functional.conv2d, up to rounding; the same bits for a place whatever lies around or beside it.

    Args:
        image_BCHW: float32 or bfloat16, on the CPU; copied if its channels are not last in memory.
        bias_O: any dtype.
        padding: rows and columns of zeros on every side.

    Returns:
        (B, O, H, W), the image's dtype, channels last in memory. Sums are in float32.
    """
    compiled_library = library()
    assert compiled_library is not None, "who has a kernel has the library"
    B, _, H, W = image_BCHW.shape
    taps_rows, taps_columns = kernel.taps
    height, width = H + 2 * padding[0] - taps_rows + 1, W + 2 * padding[1] - taps_columns + 1
    image_BHWC = image_BCHW.permute(0, 2, 3, 1).contiguous()
    out_BHWO = image_BCHW.new_empty(B, height, width, kernel.groups * kernel.outputs)
    bias = None if bias_O is None else bias_O.to(torch.float32).contiguous()
    rows, columns = _axis(taps_rows), _axis(taps_columns)
    tiles = B * -(-height // rows.results) * -(-width // columns.results)
    products = len(rows.from_taps_nr) * len(columns.from_taps_nr)
    tile_floats = products * sum(-(-channels // _LINE) * _LINE for channels in (kernel.inputs, kernel.outputs))
    at_once = max(_FEWEST_TILES, _CACHE_BYTES // (4 * tile_floats) // _ROWS * _ROWS)
    zeros = torch.zeros(-(-kernel.inputs // _LINE) * _LINE)
    group_floats, size = len(kernel.panels) // kernel.groups, image_BCHW.element_size()

    def compute(first: int, last: int) -> None:
        block = min(at_once, -(-(last - first) // _ROWS) * _ROWS)
        scratch = torch.empty(block * tile_floats + 2 * products * _LINE)
        for group in range(kernel.groups):
            job = _Job(
                image=image_BHWC.data_ptr() + group * kernel.inputs * size,
                zeros=zeros.data_ptr(),
                weights=kernel.panels.data_ptr() + group * group_floats * 4,
                bias=None if bias is None else bias.data_ptr() + group * kernel.outputs * 4,
                out=out_BHWO.data_ptr() + group * kernel.outputs * size,
                scratch=scratch.data_ptr(),
                row_factors=rows.to_products.ctypes.data, column_factors=columns.to_products.ctypes.data,
                row_powers=rows.to_results.ctypes.data, column_powers=columns.to_results.ctypes.data,
                half=image_BCHW.dtype == torch.bfloat16, taps_rows=taps_rows, taps_columns=taps_columns,
                height=H, width=W, inputs=kernel.inputs, image_step=image_BHWC.shape[3],
                out_height=height, out_width=width, outputs=kernel.outputs, out_step=out_BHWO.shape[3],
                pad_rows=padding[0], pad_columns=padding[1], first=first, last=last, at_once=block,
            )  # fmt: skip
            compiled_library.convolve(ctypes.byref(job), ctypes.c_long(kernel.panel))

    share_out(tiles, compute, fewest=at_once)
    return out_BHWO.permute(0, 3, 1, 2)


@cache
def _axis(taps: int) -> _Axis:
    """Toom and Cook's: product j belongs to the point p_j, the last one to infinity.

    The kernel is evaluated there as a polynomial, divided by p's distances to the other points; pixels by the
    polynomial whose zeros are the other points; and products come back as powers of p.
    """
    if taps == 1:
        return _Axis(results=1, from_taps_nr=np.ones((1, 1)), to_products=_floats([1]), to_results=_floats([1]))
    points = np.array(_POINTS[taps])
    n = len(points) + 1
    results = n - taps + 1
    from_taps, from_pixels = np.zeros((n, taps)), np.zeros((n, n))
    for j, point in enumerate(points):
        others = np.delete(points, j)
        from_taps[j] = point ** np.arange(taps) / np.prod(point - others)
        from_pixels[j, :-1] = np.poly(others)[::-1]
    from_taps[-1, -1] = 1
    from_pixels[-1] = np.poly(points)[::-1]
    # The point 0 reads even places alone, infinity odd ones; of p and -p one has both.
    zero, infinity, of_pairs = from_pixels[0, :-1:2], from_pixels[-1, 1::2], from_pixels[1:-1:2]
    halves = [half for row in of_pairs for half in (row[2:-1:2], row[1:-2:2])]
    powers = [point ** np.arange(results) for point in points[1::2]]
    return _Axis(
        results=results, from_taps_nr=from_taps, to_products=_floats(zero, infinity, *halves),
        to_results=_floats(*powers),
    )  # fmt: skip


def _floats(*parts: object) -> NDArray[np.float32]:
    return np.concatenate([np.atleast_1d(np.asarray(part, np.float32)) for part in parts])
