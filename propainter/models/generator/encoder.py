"""The generator's encoder: one frame with its masks to features on a quarter of its sides.

Axes: T frames, C channels, H rows, W columns; h, w a quarter of them:
    features_T128hw = encoder(frames_T5HW)
"""

from torch import Tensor, nn

from propainter.models.convolution import Conv3x3
from propainter.ops.layout import cat_channels

_GROUPS = {10: 2, 12: 4, 14: 8, 16: 1}
"""Layer: groups of its convolution, into which the skipped features and its own input are split alike."""

_SKIP = 8
"""The layer whose input is led past the ones after it."""


class Encoder(nn.Module):
    """Nine convolutions, each followed by a leaky ReLU; per frame, so a frame that many windows see is encoded once."""

    def __init__(self) -> None:
        super().__init__()
        convs = (
            nn.Conv2d(5, 64, 3, stride=2, padding=1),
            Conv3x3(64, 64),
            nn.Conv2d(64, 128, 3, stride=2, padding=1),
            Conv3x3(128, 256),
            Conv3x3(256, 384),
            Conv3x3(640, 512, groups=_GROUPS[10]),
            Conv3x3(768, 384, groups=_GROUPS[12]),
            Conv3x3(640, 256, groups=_GROUPS[14]),
            Conv3x3(512, 128, groups=_GROUPS[16]),
        )
        self.layers = nn.ModuleList(layer for conv in convs for layer in (conv, nn.LeakyReLU(0.2, inplace=True)))

    def forward(self, frames_T5HW: Tensor) -> Tensor:
        """RGB in [-1, 1], original hole, updated hole; holes are 1 inside."""
        out = frames_T5HW
        skipped = out
        for index, layer in enumerate(self.layers):
            if index == _SKIP:
                skipped = out
            elif index in _GROUPS:
                out = _interleave(skipped, out, _GROUPS[index])
            out = layer(out)
        return out


def _interleave(first_TCHW: Tensor, second_TCHW: Tensor, groups: int) -> Tensor:
    """Channels of both, slice by slice, so that each group of a convolution sees a slice of either."""
    slices = zip(first_TCHW.chunk(groups, dim=1), second_TCHW.chunk(groups, dim=1), strict=True)
    return cat_channels(*(part for both in slices for part in both))
