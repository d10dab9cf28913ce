"""Twice the sides, then a convolution: the decoders' step in flow completion and generator.

Axes: B batch, I and O channels in and out, h, w rows and columns; H = 2h, W = 2w:
    out_BOHW = upsample_conv(image_BIhw)
"""

from torch import Tensor, nn
from torch.nn import functional as F

from propainter.models.convolution import Conv3x3


class UpsampleConv(nn.Module):
    """Bilinear with aligned corners, so that a sample's place depends on the whole map's size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Conv3x3(inputs, outputs)

    def forward(self, image_BIhw: Tensor) -> Tensor:
        image_BIHW = F.interpolate(image_BIhw, scale_factor=2, mode="bilinear", align_corners=True)
        out_BOHW: Tensor = self.conv(image_BIHW)
        return out_BOHW
