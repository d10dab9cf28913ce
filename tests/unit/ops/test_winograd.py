"""Winograd's convolution against torch's, in double precision where rounding hides nothing."""

import pytest
import torch
from torch.nn import functional as F

from propainter.models.conv3x3 import Conv3x3
from propainter.ops.winograd import conv3x3, transform_weights


@pytest.mark.parametrize("sides", [(1, 1), (5, 3), (6, 7), (13, 4)])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
def test_it_is_a_convolution_whatever_the_sides(sides: tuple[int, int], groups: int, padding: int) -> None:
    generator = torch.Generator().manual_seed(0)
    height, width = (side + 2 - 2 * padding for side in sides)
    image = torch.randn(3, 4, height, width, generator=generator, dtype=torch.float64)
    weight = torch.randn(6, 4 // groups, 3, 3, generator=generator, dtype=torch.float64)
    bias = torch.randn(6, generator=generator, dtype=torch.float64)

    result = conv3x3(image, transform_weights(weight), bias, groups, padding=padding)

    expected = F.conv2d(image, weight, bias, padding=padding, groups=groups)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-12)


def test_many_chunks_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    image, weight, bias = torch.randn(2, 4, 30, 8), torch.randn(4, 4, 3, 3), torch.zeros(4)
    at_once = conv3x3(image, transform_weights(weight), bias)
    monkeypatch.setattr("propainter.ops.winograd._CHUNK_BYTES", 1)
    torch.testing.assert_close(conv3x3(image, transform_weights(weight), bias), at_once, rtol=0, atol=1e-5)


def test_a_layer_follows_weights_that_are_loaded_later() -> None:
    layer, image = Conv3x3(64, 64), torch.randn(1, 64, 8, 8)
    with torch.no_grad():
        before = layer(image)
        layer.load_state_dict({name: 2 * value for name, value in layer.state_dict().items()})
        torch.testing.assert_close(layer(image), 2 * before, rtol=0, atol=1e-4)


def test_both_ways_of_a_layer_agree() -> None:
    layer, image = Conv3x3(128, 64), torch.randn(1, 128, 20, 20)
    direct = layer(image)  # gradients are on: torch's own convolution
    with torch.inference_mode():
        torch.testing.assert_close(layer(image), direct.detach(), rtol=0, atol=1e-5)
        torch.testing.assert_close(layer.inside(image), direct.detach()[:, :, 1:-1, 1:-1], rtol=0, atol=1e-5)
