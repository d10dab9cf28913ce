"""RAFT's recurrent update: correlation and flow in, a step of the flow out.

Axes: B pairs, h rows, w columns, both an eighth of the frame's; 2 is (dx, dy) in cells of eight pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from propainter.models.convolution import Conv1x1, Conv3x3, KeptReady, ReadyConv
from propainter.ops.layout import cat_channels

HIDDEN = 128


class MotionEncoder(nn.Module):
    """Correlation and flow to 126 features, and the flow itself: motion_B128hw."""

    def __init__(self) -> None:
        super().__init__()
        self.convc1 = Conv1x1(324, 256)
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
        self._ready = KeptReady()

    def directions(self) -> "list[_Direction]":
        """The convolutions along rows and along columns."""
        return self._ready.of(self, lambda: [self._direction(1, (0, 2)), self._direction(2, (2, 0))])

    def _direction(self, number: int, padding: tuple[int, int]) -> "_Direction":
        convs = [self.get_submodule(f"conv{gate}{number}") for gate in "zrq"]
        weight = torch.cat([conv.get_parameter("weight") for conv in convs])
        bias = torch.cat([conv.get_parameter("bias") for conv in convs])
        changing = torch.cat((weight[:, :HIDDEN], weight[:, 2 * HIDDEN :]), dim=1)
        changing = changing.contiguous(memory_format=torch.channels_last)
        return _Direction(
            context=ReadyConv.of(weight[:, HIDDEN : 2 * HIDDEN], bias),
            zr=ReadyConv.of(changing[: 2 * HIDDEN], None),
            q=ReadyConv.of(changing[2 * HIDDEN :], None),
            padding=padding,
        )

    def context_share(self, context_B128hw: Tensor) -> list[Tensor]:
        """What context and bias add before the gates z, r, q: (B, 384, h, w) for each direction."""
        return [direction.context(context_B128hw, direction.padding) for direction in self.directions()]

    def forward(self, hidden_B128hw: Tensor, motion_B128hw: Tensor, shares: list[Tensor]) -> Tensor:
        hidden = hidden_B128hw
        for share, direction in zip(shares, self.directions(), strict=True):
            zr = direction.zr(cat_channels(hidden, motion_B128hw), direction.padding)
            z, r = zr.add_(share[:, : 2 * HIDDEN]).sigmoid_().split(HIDDEN, dim=1)
            q = direction.q(cat_channels(r * hidden, motion_B128hw), direction.padding)
            hidden = torch.lerp(hidden, _tanh_(q.add_(share[:, 2 * HIDDEN :])), z)
        return hidden


def _tanh_(x: Tensor) -> Tensor:
    """In place; by the sigmoid, which on a CPU is far faster than torch's tanh."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Direction:
    """The gates' convolutions along rows or along columns: z and r together, and q, of (hidden, motion)."""

    context: ReadyConv
    zr: ReadyConv
    q: ReadyConv
    padding: tuple[int, int]


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
        self.mask = nn.Sequential(Conv3x3(HIDDEN, 256), nn.ReLU(), Conv1x1(256, 576))
