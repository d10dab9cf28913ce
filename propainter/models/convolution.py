"""Convolutions of stride 1 in the faster of two ways, for all three networks.

Axes: B batch, I and O channels in and out, r and s taps, H rows, W columns:
    out_BOHW = conv(image_BIHW)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from propainter.ops import winograd
from propainter.ops.linear import linear

Ready = TypeVar("Ready")

_FEWEST_INPUTS = 16
"""Of a group: below, most of a vector would be empty. Few outputs torch computes no better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyConv:
    """Weights made ready once, for inference: on a CPU for Winograd's way, if that was compiled; else for torch's."""

    weight_OIrs: Tensor
    bias_O: Tensor | None
    groups: int
    kernel: winograd.Kernel | None

    @classmethod
    def of(cls, weight_OIrs: Tensor, bias_O: Tensor | None, groups: int = 1) -> "ReadyConv":
        saves = (
            weight_OIrs.device.type == "cpu"
            and weight_OIrs.dtype in (torch.float32, torch.bfloat16)
            and weight_OIrs.shape[1] >= _FEWEST_INPUTS
            and not torch.is_grad_enabled()
            and winograd.compiled()
        )
        kernel = winograd.prepare(weight_OIrs, groups) if saves else None
        return cls(weight_OIrs=weight_OIrs, bias_O=bias_O, groups=groups, kernel=kernel)

    def __call__(self, image_BIHW: Tensor, padding: tuple[int, int]) -> Tensor:
        if self.kernel is None:
            return F.conv2d(image_BIHW, self.weight_OIrs, self.bias_O, padding=padding, groups=self.groups)
        return winograd.convolve(image_BIHW, self.kernel, self.bias_O, padding=padding)


class KeptReady:
    """What a layer makes of its weights once, and again after others were loaded or moved to a device."""

    def __init__(self) -> None:
        self._made: tuple[object, Any] | None = None

    def of(self, layer: nn.Module, make: Callable[[], Ready]) -> Ready:
        if torch.is_grad_enabled():
            return make()  # what gradients flow through is not to be kept
        loaded = tuple((w.data_ptr(), None if w.is_inference() else w._version) for w in layer.parameters())
        if self._made is None or self._made[0] != loaded:
            self._made = loaded, make()
        ready: Ready = self._made[1]
        return ready


class Conv3x3(nn.Conv2d):
    """Stride 1, zeros around."""

    def __init__(self, inputs: int, outputs: int, *, groups: int = 1) -> None:
        super().__init__(inputs, outputs, 3, padding=1, groups=groups)
        self._ready = KeptReady()

    def forward(self, image_BIHW: Tensor) -> Tensor:
        return self._convolve(image_BIHW, padding=1)

    def inside(self, image_BIHW: Tensor) -> Tensor:
        """Without zeros around: a pixel less on every side."""
        return self._convolve(image_BIHW, padding=0)

    def _convolve(self, image_BIHW: Tensor, padding: int) -> Tensor:
        ready = self._ready.of(self, lambda: ReadyConv.of(self.weight, self.bias, self.groups))
        return ready(image_BIHW, (padding, padding))


class Conv1x1(nn.Conv2d):
    """A linear layer for each place."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, image_BIHW: Tensor) -> Tensor:
        if image_BIHW.device.type != "cpu":
            return super().forward(image_BIHW)
        return linear(image_BIHW.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)
