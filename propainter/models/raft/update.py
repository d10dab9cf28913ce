"""RAFT's recurrent update: correlation and flow in, a step of the flow out.

Axes: B pairs, h rows, w columns, both an eighth of the frame's; 2 is (dx, dy) in cells of eight pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from propainter.models.conv3x3 import Conv3x3
from propainter.ops.layout import cat_channels

HIDDEN = 128


class MotionEncoder(nn.Module):
    """Correlation and flow to 126 features, and the flow itself: motion_B128hw."""

    def __init__(self) -> None:
        super().__init__()
        self.convc1 = nn.Conv2d(324, 256, 1)
        self.convc2 = Conv3x3(256, 192)
        self.convf1 = nn.Conv2d(2, 128, 7, padding=3)
        self.convf2 = Conv3x3(128, 64)
        self.conv = Conv3x3(256, 126)

    def forward(self, correlation_B324hw: Tensor, flow_B2hw: Tensor) -> Tensor:
        correlation = self.convc2(self.convc1(correlation_B324hw).relu_()).relu_()
        flow = self.convf2(self.convf1(flow_B2hw).relu_()).relu_()
        motion = self.conv(cat_channels(correlation, flow)).relu_()
        return cat_channels(motion, flow_B2hw)


class SeparableGRU(nn.Module):
    """A gated unit along rows (1), then one along columns (2), on (hidden, context, motion).

    Context is the same in every iteration: its share of all six convolutions comes from `context_share`, once.
    """

    def __init__(self) -> None:
        super().__init__()
        for gate in "zrq":
            self.add_module(f"conv{gate}1", nn.Conv2d(3 * HIDDEN, HIDDEN, (1, 5), padding=(0, 2)))
            self.add_module(f"conv{gate}2", nn.Conv2d(3 * HIDDEN, HIDDEN, (5, 1), padding=(2, 0)))

    def _conv(self, gates: str, direction: int) -> tuple[Tensor, Tensor, tuple[int, int]]:
        """Weight and bias of some gates side by side, and the padding they share."""
        convs = [self.get_submodule(f"conv{gate}{direction}") for gate in gates]
        weight = torch.cat([conv.get_parameter("weight") for conv in convs])
        bias = torch.cat([conv.get_parameter("bias") for conv in convs])
        return weight, bias, (0, 2) if direction == 1 else (2, 0)

    def context_share(self, context_B128hw: Tensor) -> list[Tensor]:
        """What context and bias add before the gates z, r, q: (B, 384, h, w) for each direction."""
        shares = []
        for direction in (1, 2):
            weight, bias, padding = self._conv("zrq", direction)
            shares.append(F.conv2d(context_B128hw, weight[:, HIDDEN : 2 * HIDDEN], bias, padding=padding))
        return shares

    def weights(self) -> list[tuple[Tensor, Tensor, tuple[int, int]]]:
        """For each direction: the share of (hidden, motion) in z and r together, in q, and the padding."""
        result = []
        for direction in (1, 2):
            gates = []
            for names in ("zr", "q"):
                weight, _, padding = self._conv(names, direction)
                kept = torch.cat((weight[:, :HIDDEN], weight[:, 2 * HIDDEN :]), dim=1)
                gates.append(kept.contiguous(memory_format=torch.channels_last))
            result.append((gates[0], gates[1], padding))
        return result

    def forward(
        self,
        hidden_B128hw: Tensor,
        motion_B128hw: Tensor,
        shares: list[Tensor],
        weights: list[tuple[Tensor, Tensor, tuple[int, int]]],
    ) -> Tensor:
        hidden = hidden_B128hw
        for share, (weight_zr, weight_q, padding) in zip(shares, weights, strict=True):
            zr = F.conv2d(cat_channels(hidden, motion_B128hw), weight_zr, padding=padding)
            z, r = zr.add_(share[:, : 2 * HIDDEN]).sigmoid_().split(HIDDEN, dim=1)
            q = F.conv2d(cat_channels(r * hidden, motion_B128hw), weight_q, padding=padding)
            hidden = torch.lerp(hidden, q.add_(share[:, 2 * HIDDEN :]).tanh_(), z)
        return hidden


class FlowHead(nn.Module):
    """Hidden state to the step that is added to the flow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv3x3(HIDDEN, 256)
        self.conv2 = Conv3x3(256, 2)

    def forward(self, hidden_B128hw: Tensor) -> Tensor:
        step_B2hw: Tensor = self.conv2(self.conv1(hidden_B128hw).relu_())
        return step_B2hw


class UpdateBlock(nn.Module):
    """Holds what the iterations share; `mask` is the head that only the last iteration needs."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MotionEncoder()
        self.gru = SeparableGRU()
        self.flow_head = FlowHead()
        self.mask = nn.Sequential(Conv3x3(HIDDEN, 256), nn.ReLU(), nn.Conv2d(256, 576, 1))
