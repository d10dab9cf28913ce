"""Bringing features of another frame to this one's places by deformable convolution.

Flow completion and generator share it. Axes: B batch, I channels of the state, D of the condition, H rows, W columns:
    aligned_B128HW = align(state_BIHW, condition_BDHW, flow_B2HW)
"""

import torch
from torch import Tensor, nn

from propainter.models.convolution import Conv3x3
from propainter.ops.deform_conv import TAPS, deform_conv

FEATURES = 128
GROUPS = 16


class DeformableAlignment(nn.Module):
    """Offsets and modulation are predicted from a condition; offsets stay within reach_px of the flow, if any."""

    def __init__(self, inputs: int, condition: int, *, reach_px: float) -> None:
        super().__init__()
        self.reach_px = reach_px
        self.weight = nn.Parameter(torch.empty(FEATURES, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(FEATURES))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.conv_offset = nn.Sequential(
            Conv3x3(condition, FEATURES),
            nn.LeakyReLU(0.1, inplace=True),
            Conv3x3(FEATURES, FEATURES),
            nn.LeakyReLU(0.1, inplace=True),
            Conv3x3(FEATURES, FEATURES),
            nn.LeakyReLU(0.1, inplace=True),
            Conv3x3(FEATURES, 3 * GROUPS * TAPS),
        )

    def forward(self, state_BIHW: Tensor, condition_BDHW: Tensor, flow_B2HW: Tensor | None = None) -> Tensor:
        predicted = self.conv_offset(condition_BDHW)
        offset, modulation = predicted.split((2 * GROUPS * TAPS, GROUPS * TAPS), dim=1)
        offset_BGK2HW = (self.reach_px * offset.tanh()).unflatten(1, (GROUPS, TAPS, 2))
        if flow_B2HW is not None:
            offset_BGK2HW = offset_BGK2HW + flow_B2HW.flip(1)[:, None, None]
        modulation_BGKHW = modulation.sigmoid().unflatten(1, (GROUPS, TAPS))
        return deform_conv(state_BIHW, offset_BGK2HW, modulation_BGKHW, self.weight, self.bias)
