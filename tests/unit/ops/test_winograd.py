"""Winograd's convolution against torch's in double precision, and the layers that choose between the two."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from propainter.models.convolution import Conv1x1, Conv3x3
from propainter.ops import winograd
from propainter.ops.linear import linear

needs_compiler = pytest.mark.skipif(not winograd.compiled(), reason="installed without a C compiler")
PANELS = [panel for panel in (16, 64) if panel <= winograd.widest_panel()]
SAME_SIZE = {(3, 3): (1, 1), (1, 5): (0, 2), (5, 1): (2, 0), (1, 1): (0, 0)}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def expected(image: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int], groups: int = 1) -> Tensor:
    bias = None if bias is None else bias.double()
    return F.conv2d(image.double(), weight.double(), bias, padding=padding, groups=groups).float()


@needs_compiler
@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("taps", SAME_SIZE)
@pytest.mark.parametrize("sides", [(1, 1), (5, 3), (4, 8), (13, 30)])
@pytest.mark.parametrize(("inputs", "outputs", "groups"), [(3, 5, 1), (16, 16, 1), (20, 82, 2)])
def test_it_is_a_convolution_whatever_the_sides(
    taps: tuple[int, int], sides: tuple[int, int], inputs: int, outputs: int, groups: int, panel: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(winograd, "widest_panel", lambda: panel)
    image, bias = random(2, inputs, *sides), random(outputs, seed=1)
    weight = random(outputs, inputs // groups, *taps, seed=2)

    result = winograd.convolve(image, winograd.prepare(weight, groups), bias, padding=SAME_SIZE[taps])

    assert result.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(result, expected(image, weight, bias, SAME_SIZE[taps], groups), rtol=0, atol=2e-4)


@needs_compiler
def test_it_rounds_about_twice_as_much_as_torchs_convolution() -> None:
    image = random(1, 256, 30, 54).contiguous(memory_format=torch.channels_last)
    weight = random(128, 256, 3, 3, seed=1) / (256 * 9) ** 0.5
    exact = F.conv2d(image.double(), weight.double(), padding=1)
    result = winograd.convolve(image, winograd.prepare(weight), None, padding=(1, 1))
    direct = F.conv2d(image, weight, padding=1)
    assert (result - exact).square().mean().sqrt() < 4 * (direct - exact).square().mean().sqrt()


@needs_compiler
def test_bfloat16_goes_in_and_comes_out_rounded_once() -> None:
    image, weight = random(1, 32, 9, 11).bfloat16(), random(32, 32, 3, 3, seed=1).bfloat16()
    result = winograd.convolve(image, winograd.prepare(weight), None, padding=(1, 1))
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.float(), expected(image, weight, None, (1, 1)), rtol=2**-8, atol=1e-3)


@needs_compiler
def test_without_padding_the_sides_lose_a_pixel_each() -> None:
    image, weight = random(1, 16, 7, 10), random(16, 16, 3, 3, seed=1)
    result = winograd.convolve(image, winograd.prepare(weight), None, padding=(0, 0))
    torch.testing.assert_close(result, expected(image, weight, None, (0, 0)), rtol=0, atol=2e-4)


@needs_compiler
@pytest.mark.usefixtures("threads")
def test_a_place_is_the_same_bits_in_any_batch_and_on_any_thread() -> None:
    images, kernel = random(5, 48, 40, 44), winograd.prepare(random(80, 48, 3, 3, seed=1))
    alone = [winograd.convolve(image[None], kernel, None, padding=(1, 1)) for image in images]
    assert torch.equal(winograd.convolve(images, kernel, None, padding=(1, 1)), torch.cat(alone))


@torch.inference_mode()
def test_a_linear_layer_is_the_same_over_many_rows_and_few() -> None:
    weight, bias = random(70, 24), random(70, seed=1)
    for rows in (1, 3, 1500):
        x = random(2, rows, 24, seed=2)
        torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias), rtol=0, atol=1e-4)


def test_a_layer_follows_weights_that_are_loaded_later() -> None:
    layer, image = Conv3x3(64, 64), random(1, 64, 8, 8)
    with torch.inference_mode():
        before = layer(image)
    with torch.no_grad():
        layer.load_state_dict({name: 2 * value for name, value in layer.state_dict().items()})
    with torch.inference_mode():
        torch.testing.assert_close(layer(image), 2 * before, rtol=0, atol=1e-4)


def test_layers_are_torchs_convolutions_with_and_without_the_library(either_way: None) -> None:
    layer, pointwise, image = Conv3x3(64, 32), Conv1x1(64, 32), random(1, 64, 40, 40)
    direct = F.conv2d(image, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(image), direct, rtol=0, atol=1e-5)
    torch.testing.assert_close(layer.inside(image), direct[:, :, 1:-1, 1:-1], rtol=0, atol=1e-5)
    mixed = F.conv2d(image, pointwise.weight, pointwise.bias)
    torch.testing.assert_close(pointwise(image), mixed, rtol=0, atol=1e-5)
