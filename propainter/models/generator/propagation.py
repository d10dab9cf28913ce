"""Learned propagation of features along flow, both ways through the local frames.

Axes: L local frames, P = L - 1 pairs, h rows, w columns, a quarter of the frame's; 2 is (dx, dy) in these rows and
columns:
    features_L128hw = propagation(features_L128hw, motion, holes_L2hw)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from propainter.models.alignment import FEATURES, DeformableAlignment
from propainter.models.convolution import Conv3x3
from propainter.ops.consistency import consistent
from propainter.ops.layout import cat_channels
from propainter.ops.warp import warp

SCALE = 4
_OFFSET_REACH = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """Flow between neighbours at the features' size, and where it can be relied on; each pair's is its own."""

    flow_P22hw: Tensor
    valid_P21hw: Tensor

    @classmethod
    def of(cls, flow_P22HW: Tensor) -> "Motion":
        """From completed flow at the frames' size: pair, forward or backward, (dx, dy) in pixels."""
        small = F.interpolate(flow_P22HW.flatten(0, 1), scale_factor=1 / SCALE, mode="bilinear", align_corners=False)
        flow_P22hw = (small / SCALE).unflatten(0, (-1, 2))
        forward, backward = flow_P22hw.unbind(1)
        valid = torch.stack((consistent(forward, backward), consistent(backward, forward)), dim=1)
        return cls(flow_P22hw=flow_P22hw, valid_P21hw=valid.to(flow_P22HW.dtype))

    @classmethod
    def join(cls, parts: "list[Motion]") -> "Motion":
        if not parts:  # a shot of one frame
            return cls(flow_P22hw=torch.empty(0, 2, 2, 0, 0), valid_P21hw=torch.empty(0, 2, 1, 0, 0))
        return cls(
            flow_P22hw=torch.cat([part.flow_P22hw for part in parts]),
            valid_P21hw=torch.cat([part.valid_P21hw for part in parts]),
        )


class FeaturePropagation(nn.Module):
    """First order: each frame takes from the one visited before it. Backward in time, then forward on the result."""

    def __init__(self) -> None:
        super().__init__()
        self.deform_align = nn.ModuleDict()
        self.backbone = nn.ModuleDict()
        for direction in ("backward_1", "forward_1"):
            # Feature and warped state, flow, validity and both holes.
            self.deform_align[direction] = DeformableAlignment(
                FEATURES, 2 * FEATURES + 2 + 1 + 2, reach_px=_OFFSET_REACH
            )
            self.backbone[direction] = _two_convs()
        self.fuse = _two_convs()

    def forward(self, features_L128hw: Tensor, motion: Motion, holes_L2hw: Tensor) -> Tensor:
        """Carry features through the local frames.

        Args:
            features_L128hw: the encoder's.
            motion: of the pairs among these frames.
            holes_L2hw: original and updated hole, 1 inside.
        """
        features, holes = list(features_L128hw.split(1)), list(holes_L2hw.split(1))
        last = len(features) - 1
        forward = [(motion.flow_P22hw[t : t + 1, 0], motion.valid_P21hw[t : t + 1, 0]) for t in range(last)]
        backward = [(motion.flow_P22hw[t : t + 1, 1], motion.valid_P21hw[t : t + 1, 1]) for t in range(last)]
        # Going back in time, frame t takes from t + 1, where forward flow t points; and the other way round.
        once = self._sweep("backward_1", features[::-1], forward[::-1], holes[::-1])[::-1]
        twice = self._sweep("forward_1", once, backward, holes)
        fused = [self.fuse(cat_channels(*parts)) for parts in zip(once, twice, holes, strict=True)]
        return torch.cat(fused).add_(features_L128hw)

    def _sweep(
        self,
        direction: str,
        features: Sequence[Tensor],
        steps: Sequence[tuple[Tensor, Tensor]],
        holes: Sequence[Tensor],
    ) -> list[Tensor]:
        """Results in the order visited; steps[i] is flow and validity from the frame visited at i + 1 to that at i."""
        align, backbone = self.deform_align[direction], self.backbone[direction]
        results: list[Tensor] = []
        for index, (feature, hole) in enumerate(zip(features, holes, strict=True)):
            aligned = feature
            if results:
                flow, valid = steps[index - 1]
                before = results[-1]
                # Places stay in float32: in half precision a pixel of a wide frame has no fraction left.
                warped = warp(before.to(flow.dtype), flow)
                condition = cat_channels(*(part.to(feature.dtype) for part in (feature, warped, flow, valid, hole)))
                aligned = align(before, condition, flow)
            results.append(backbone(cat_channels(feature, aligned, hole)).add_(aligned))
        return results


def _two_convs() -> nn.Sequential:
    """Two feature maps and both holes to one map."""
    return nn.Sequential(
        Conv3x3(2 * FEATURES + 2, FEATURES),
        nn.LeakyReLU(0.2, inplace=True),
        Conv3x3(FEATURES, FEATURES),
    )
