"""The inpainting generator whole: what depends on a frame or a pair alone, and what a window of frames makes of it.

Axes: T frames of a window, L of them local (first), P = L - 1 pairs, H rows, W columns; h, w a quarter of them:
    frames = generator.encode(frames_T3HW, hole_T1HW, still_hole_T1HW)
    output_L3HW = generator.refine(local, references, motion, wanted)
Source: Zhou et al. 2023, sections 3.2 and 3.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from propainter.core.errors import ShapeError
from propainter.models.alignment import FEATURES
from propainter.models.generator.decoder import Decoder, SoftComposition
from propainter.models.generator.encoder import Encoder
from propainter.models.generator.propagation import SCALE, FeaturePropagation, Motion
from propainter.models.generator.transformer import CHANNELS, SparseTransformer
from propainter.ops.patches import PADDING, SIDE, STRIDE, embed
from propainter.ops.regions import Region

_SIDE_MULTIPLE_PX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedFrames:
    """What windows need of their frames; depends on each frame alone."""

    features_T128hw: Tensor
    holes_T2hw: Tensor
    token_hole_TRS: Tensor

    @classmethod
    def join(cls, parts: list["EncodedFrames"]) -> "EncodedFrames":
        return cls(
            features_T128hw=torch.cat([part.features_T128hw for part in parts]),
            holes_T2hw=torch.cat([part.holes_T2hw for part in parts]),
            token_hole_TRS=torch.cat([part.token_hole_TRS for part in parts]),
        )

    def frame(self, index: int) -> "EncodedFrames":
        one = slice(index, index + 1)
        return EncodedFrames(
            features_T128hw=self.features_T128hw[one],
            holes_T2hw=self.holes_T2hw[one],
            token_hole_TRS=self.token_hole_TRS[one],
        )


class Generator(nn.Module):
    """Parameters as in the checkpoint ProPainter.pth."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.ss = _SoftSplit()
        self.sc = SoftComposition(CHANNELS)
        self.feat_prop_module = FeaturePropagation()
        self.transformers = SparseTransformer()

    def encode(self, frames_T3HW: Tensor, hole_T1HW: Tensor, still_hole_T1HW: Tensor) -> EncodedFrames:
        """Encode frames, each by itself.

        Args:
            frames_T3HW: RGB in [-1, 1] after image propagation, 0 in what is still hole.
            hole_T1HW: the original holes, 1 inside.
            still_hole_T1HW: what image propagation left of them.

        Raises:
            ShapeError: a side is not a multiple of 8.
        """
        height_px, width_px = frames_T3HW.shape[-2:]
        if height_px % _SIDE_MULTIPLE_PX or width_px % _SIDE_MULTIPLE_PX:
            raise ShapeError(
                f"{width_px}x{height_px} frames cannot be refined. "
                f"Give sides that are multiples of {_SIDE_MULTIPLE_PX}."
            )
        inputs = torch.cat((frames_T3HW, hole_T1HW, still_hole_T1HW), dim=1)
        inputs = inputs.to(self.ss.embedding.weight.dtype).contiguous(memory_format=torch.channels_last)
        # One frame at a time: the finest maps are the peak of the encoder's memory.
        features = torch.cat([self.encoder(frame) for frame in inputs.split(1)])
        holes = inputs[:, 3:, ::SCALE, ::SCALE]
        token_hole = F.max_pool2d(holes[:, :1], SIDE, stride=STRIDE, padding=PADDING)[:, 0] > 0
        return EncodedFrames(features_T128hw=features, holes_T2hw=holes, token_hole_TRS=token_hole)

    def refine(
        self, local: EncodedFrames, references: EncodedFrames | None, motion: Motion, wanted: Sequence[Region | None],
        *, frames_at_once: int,
    ) -> Tensor:  # fmt: skip
        """Predict the local frames, RGB in [-1, 1].

        Args:
            local: neighbouring frames.
            references: frames from further away, or None.
            motion: of the pairs among the local frames.
            wanted: of each local frame, the region that is predicted; 0 outside.
            frames_at_once: where frames do not meet: a matter of memory, not of result.
        """
        propagated = self.propagate(local, motion)
        tokens = self.transform(propagated, local, references, frames_at_once=frames_at_once)
        return self.decode(propagated, tokens, wanted)

    def propagate(self, local: EncodedFrames, motion: Motion) -> Tensor:
        """Features of the local frames after learned propagation, (L, 128, h, w)."""
        features: Tensor = self.feat_prop_module(local.features_T128hw, motion, local.holes_T2hw)
        return features

    def transform(
        self, propagated_L128hw: Tensor, local: EncodedFrames, references: EncodedFrames | None, *, frames_at_once: int
    ) -> Tensor:
        """Tokens of the local frames after the transformer, (L, R, S, 512)."""
        features = [propagated_L128hw] if references is None else [propagated_L128hw, references.features_T128hw]
        tokens: Tensor = self.transformers(
            torch.cat([self.ss(part) for part in features]),
            local.token_hole_TRS.any(dim=0),
            local=len(propagated_L128hw),
            sides=(propagated_L128hw.shape[2], propagated_L128hw.shape[3]),
            frames_at_once=frames_at_once,
        )
        return tokens

    def decode(self, propagated_L128hw: Tensor, tokens_LRSC: Tensor, wanted: Sequence[Region | None]) -> Tensor:
        """From features and tokens to RGB in [-1, 1] where wanted, 0 elsewhere; frame by frame, as encode does."""
        L, _, h, w = propagated_L128hw.shape
        output_L3HW = propagated_L128hw.new_zeros(L, 3, h * SCALE, w * SCALE)
        for t, region in enumerate(wanted):
            if region is not None:
                read = self.decoder.reads(region)
                features = self.sc(tokens_LRSC[t : t + 1], propagated_L128hw[t : t + 1], read)
                pixels = self.decoder(features, read, region)
                rows, columns = region.rows, region.columns
                output_L3HW[t : t + 1, :, rows.start : rows.stop, columns.start : columns.stop] = pixels
        return output_L3HW


class _SoftSplit(nn.Module):
    """Features to tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(FEATURES * SIDE**2, CHANNELS)

    def forward(self, features_T128hw: Tensor) -> Tensor:
        return embed(features_T128hw, self.embedding.weight, self.embedding.bias)
