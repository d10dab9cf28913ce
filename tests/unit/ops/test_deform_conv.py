"""Deformable convolution: against its definition, and its two ways of sampling against each other."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from propainter.ops.compiled import library
from propainter.ops.deform_conv import TAPS, _by_place, _places, _sample_by_grid, _sample_compiled, deform_conv


def draw(batch: int = 2, channels: int = 8, groups: int = 2, height: int = 6, width: int = 7) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    image = torch.randn(batch, channels, height, width, generator=generator)
    offset = 4 * torch.randn(batch, groups, TAPS, 2, height, width, generator=generator)
    modulation = torch.rand(batch, groups, TAPS, height, width, generator=generator)
    weight = torch.randn(5, channels, 3, 3, generator=generator)
    bias = torch.randn(5, generator=generator)
    return [image, offset, modulation, weight, bias]


def pixel(image_HW: Tensor, y: int, x: int) -> float:
    height, width = image_HW.shape
    return float(image_HW[y, x]) if 0 <= y < height and 0 <= x < width else 0.0


def bilinear(image_HW: Tensor, y: float, x: float) -> float:
    top, left = math.floor(y), math.floor(x)
    rows = ((top, top + 1 - y), (top + 1, y - top))
    columns = ((left, left + 1 - x), (left + 1, x - left))
    return sum(u * v * pixel(image_HW, row, column) for row, u in rows for column, v in columns)


@pytest.mark.usefixtures("either_way")
def test_it_is_its_definition() -> None:
    image, offset, modulation, weight, bias = draw(batch=1, channels=4, height=3, width=4)
    out = deform_conv(image, offset, modulation, weight, bias)
    for y in range(3):
        for x in range(4):
            expected = bias.clone()
            for channel in range(4):
                for tap in range(TAPS):
                    dy, dx = offset[0, channel // 2, tap, :, y, x].tolist()
                    sample = bilinear(image[0, channel], y + tap // 3 - 1 + dy, x + tap % 3 - 1 + dx)
                    sample *= float(modulation[0, channel // 2, tap, y, x])
                    expected += weight[:, channel, tap // 3, tap % 3] * sample
            torch.testing.assert_close(out[0, :, y, x], expected, rtol=0, atol=2e-5)


@pytest.mark.usefixtures("either_way")
def test_without_offsets_it_is_a_convolution() -> None:
    image, offset, modulation, weight, bias = draw()
    out = deform_conv(image, torch.zeros_like(offset), torch.ones_like(modulation), weight, bias)
    torch.testing.assert_close(out, F.conv2d(image, weight, bias, padding=1), rtol=0, atol=2e-5)


@pytest.mark.usefixtures("either_way")
def test_a_tap_that_reads_far_outside_reads_nothing() -> None:
    image, offset, modulation, weight, bias = draw()
    for far in (-1e9, 1e9):
        out = deform_conv(image, torch.full_like(offset, far), modulation, weight, bias)
        torch.testing.assert_close(out, bias.view(1, -1, 1, 1).expand_as(out), rtol=0, atol=0)


@pytest.mark.skipif(library() is None, reason="installed without a C compiler")
@pytest.mark.parametrize("channels", [6, 16, 32])
@pytest.mark.usefixtures("threads")
def test_both_ways_of_sampling_agree(channels: int) -> None:
    image, offset, modulation, _, _ = draw(channels=channels, height=30, width=20)
    places = (*_places(offset), _by_place(modulation))
    of_one = _sample_compiled(image[1].permute(1, 2, 0).contiguous(), *(of_places[1] for of_places in places))
    torch.testing.assert_close(of_one, _sample_by_grid(image, *places)[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float16, 0.004), (torch.bfloat16, 0.03)])
def test_in_half_precision_places_keep_their_fractions(dtype: torch.dtype, error: float) -> None:
    image, offset, modulation, _, _ = draw(width=200)
    places = (*_places(offset), _by_place(modulation))
    exact = _sample_by_grid(image, *places)
    half = _sample_by_grid(image.to(dtype), *places[:2], places[2].to(dtype))
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), exact, rtol=0, atol=error)


def test_it_agrees_with_torchvision_where_that_is_installed() -> None:
    try:
        from torchvision.ops import deform_conv2d
    except (ImportError, RuntimeError):
        pytest.skip("torchvision, or its operators for this build of torch, are not there")
    image, offset, modulation, weight, bias = draw()
    expected = deform_conv2d(image, offset.flatten(1, 3), weight, bias, padding=1, mask=modulation.flatten(1, 2))
    torch.testing.assert_close(deform_conv(image, offset, modulation, weight, bias), expected, rtol=0, atol=2e-5)
