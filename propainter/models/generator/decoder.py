"""The generator's decoder: tokens and features of a frame to the pixels that are wanted of it.

Axes: one frame, R and S token rows and columns, C channels; h, w a quarter of the frame's rows and columns, h', w' and
H', W' the rows and columns of a region:
    features_1128h'w' = compose(tokens_1RSC, features_1128hw, region)
    output_13H'W' = decoder(features_1128h'w', region, wanted)
Only the region around a hole is computed: what is outside a hole is the source's.
"""

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from propainter.models.alignment import FEATURES
from propainter.models.convolution import Conv3x3, KeptReady
from propainter.models.upsample_conv import UpsampleConv
from propainter.ops.patches import SIDE, STRIDE, spread, to_patches
from propainter.ops.regions import Region, Span, conv, crop, double

_SLOPE = 0.2


class Decoder(nn.ModuleList):
    """Four convolutions, two of them after a doubling of the sides."""

    def __init__(self) -> None:
        # The layers between, which have no parameters, keep the others at the checkpoint's numbers.
        super().__init__([
            UpsampleConv(FEATURES, FEATURES), nn.LeakyReLU(_SLOPE),
            Conv3x3(FEATURES, 64), nn.LeakyReLU(_SLOPE),
            UpsampleConv(64, 64), nn.LeakyReLU(_SLOPE),
            Conv3x3(64, 3),
        ])  # fmt: skip

    @staticmethod
    def reads(wanted: Region) -> Region:
        """The part of the feature map that the wanted pixels depend on."""
        return wanted.grow(2).halved().grow(2).halved()

    def forward(self, features_1Chw: Tensor, have: Region, wanted: Region) -> Tensor:
        """Pixels of a region, RGB in [-1, 1].

        Args:
            features_1Chw: at least the part `reads(wanted)` of the feature map.
            have: which part they are.
            wanted: region of the frame.
        """
        fine = wanted.grow(1)
        half = fine.grow(1).halved()
        coarse = half.grow(1)
        x = double(features_1Chw, have, coarse.grow(1))
        x = F.leaky_relu_(conv(x, _inside(self[0]), coarse.grow(1), coarse), _SLOPE)
        x = F.leaky_relu_(conv(x, _inside(self[2]), coarse, half), _SLOPE)
        x = double(x, half, fine.grow(1))
        x = F.leaky_relu_(conv(x, _inside(self[4]), fine.grow(1), fine), _SLOPE)
        return conv(x, _inside(self[6]), fine, wanted).tanh_()


class SoftComposition(nn.Module):
    """Tokens to features, added to those that went in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(channels, FEATURES * SIDE**2)
        self._to_patches = KeptReady()
        self.bias_conv = Conv3x3(FEATURES, FEATURES)

    def forward(self, tokens_1RSC: Tensor, features_1Chw: Tensor, wanted: Region) -> Tensor:
        """The part `wanted` of the feature map."""
        read = wanted.grow(1)
        rows, columns = _tokens_over(read.rows), _tokens_over(read.columns)
        tokens = tokens_1RSC[:, rows.start : rows.stop, columns.start : columns.stop]
        covered = Region(_places_under(rows, read.rows.size), _places_under(columns, read.columns.size))
        h, w = (span.stop - span.start for span in (covered.rows, covered.columns))
        layer = self._to_patches.of(self.embedding, lambda: to_patches(self.embedding.weight, self.embedding.bias))
        spread_1Chw = spread(tokens, layer, h, w)
        summed = conv(spread_1Chw, self.bias_conv.inside, covered, wanted)
        return summed + crop(features_1Chw, Region.whole(*features_1Chw.shape[-2:]), wanted)


def _tokens_over(places: Span) -> Span:
    """Tokens whose patches reach into a span of the map: the owners of its ends, and one more on both sides."""
    owners = Span(places.start // STRIDE, (places.stop - 1) // STRIDE + 1, -(-places.size // STRIDE))
    return owners.grow(1)


def _places_under(tokens: Span, size: int) -> Span:
    """Places that a span of tokens owns."""
    return Span(tokens.start * STRIDE, min(tokens.stop * STRIDE, size), size)


def _inside(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """A layer's convolution without zeros around, which `conv` puts where the map ends."""
    convolution = layer.conv if isinstance(layer, UpsampleConv) else layer
    return cast(Conv3x3, convolution).inside
