"""The 3x3 convolution of all three networks, in the faster of two ways.

Axes: B batch, I and O channels in and out, H rows, W columns:
    out_BOHW = conv(image_BIHW)
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from propainter.ops.winograd import conv3x3, transform_weights

_FEWEST_CHANNELS = 64
"""Of a group, in and out: below, Winograd's passes over memory cost what its multiplications save."""


class Conv3x3(nn.Conv2d):
    """Stride 1, zeros around. Inference in float32 on a CPU takes Winograd's way; all else torch's own."""

    def __init__(self, inputs: int, outputs: int, *, groups: int = 1) -> None:
        super().__init__(inputs, outputs, 3, padding=1, groups=groups)
        self._transformed: tuple[object, list[Tensor]] = (None, [])

    def forward(self, image_BIHW: Tensor) -> Tensor:
        return self._convolve(image_BIHW, padding=1)

    def inside(self, image_BIHW: Tensor) -> Tensor:
        """Without zeros around: a pixel less on every side."""
        return self._convolve(image_BIHW, padding=0)

    def _convolve(self, image_BIHW: Tensor, padding: int) -> Tensor:
        if self.bias is None or not self._saves(image_BIHW):
            return F.conv2d(image_BIHW, self.weight, self.bias, padding=padding, groups=self.groups)
        loaded = (self.weight.data_ptr(), self.weight._version)
        if self._transformed[0] != loaded:
            self._transformed = loaded, transform_weights(self.weight)
        return conv3x3(image_BIHW, self._transformed[1], self.bias, self.groups, padding=padding)

    def _saves(self, image_BIHW: Tensor) -> bool:
        fewest = min(self.in_channels, self.out_channels) // self.groups
        return (
            image_BIHW.device.type == "cpu"
            and image_BIHW.dtype == torch.float32
            and not torch.is_grad_enabled()
            and fewest >= _FEWEST_CHANNELS
        )
