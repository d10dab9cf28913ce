"""Recurrent flow completion: flow inside the holes from the flow around them and before and after.

Axes: B directions, T flows, C channels, H rows, W columns; 2 is (dx, dy) in pixels:
    prediction_BT2HW = network(flow_BT2HW, mask_BT1HW)
Source: Zhou et al. 2023, section 3.1.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from propainter.core.errors import ShapeError
from propainter.models.alignment import FEATURES, DeformableAlignment
from propainter.models.conv3x3 import Conv3x3
from propainter.models.upsample_conv import UpsampleConv
from propainter.ops.layout import cat_channels

_SIDE_MULTIPLE_PX = 8
_OFFSET_REACH_PX = 5.0


@torch.inference_mode()
def complete(network: "FlowCompletion", flow: NDArray[np.float32], hole: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill flow inside holes; known flow comes back unchanged.

    Args:
        network: on the device where it shall run.
        flow: (T - 1, 2, 2, H, W), pair, forward or backward, (dx, dy) in pixels; what is in a hole is not read.
        hole: (T, H, W), True inside, of the frames the pairs are made of.

    Returns:
        Shape of flow.

    Raises:
        ShapeError: a side is not a multiple of 8, or flow and hole do not go together.
    """
    if len(hole) != len(flow) + 1 or hole.shape[1:] != flow.shape[-2:]:
        raise ShapeError(f"holes {hole.shape} do not go with flow {flow.shape}. Give one hole more than pairs.")
    device = next(network.parameters()).device
    flow_BT2HW = torch.from_numpy(flow).to(device).transpose(0, 1)
    hole_T1HW = torch.from_numpy(hole).to(device)[:, None]
    # Forward flow starts at a pair's first frame, backward flow at its second: each goes with the hole it starts in.
    hole_BT1HW = torch.stack((hole_T1HW[:-1], hole_T1HW[1:]))
    known_BT2HW = flow_BT2HW * ~hole_BT1HW
    prediction_BT2HW = _reverse_backward(
        network(_reverse_backward(known_BT2HW), _reverse_backward(hole_BT1HW.to(known_BT2HW.dtype)))
    )
    completed_BT2HW = torch.where(hole_BT1HW, prediction_BT2HW, flow_BT2HW)
    return completed_BT2HW.transpose(0, 1).contiguous().cpu().numpy()


def _reverse_backward(x_BTCHW: Tensor) -> Tensor:
    """Backward flow (index 1 of B) turned round in time: along it the network sees motion go on as in forward flow."""
    return torch.stack((x_BTCHW[0], x_BTCHW[1].flip(0)))


class FlowCompletion(nn.Module):
    """Parameters as in the checkpoint recurrent_flow_completion.pth."""

    def __init__(self) -> None:
        super().__init__()
        self.downsample = nn.Sequential(_SpatialConv(3, 32, 5, stride=2, padding=0), _lrelu())
        self.encoder1 = nn.Sequential(_Pseudo3D(32, 32), _lrelu(), _Pseudo3D(32, 64, stride=2), _lrelu())
        self.encoder2 = nn.Sequential(_Pseudo3D(64, 64), _lrelu(), _Pseudo3D(64, FEATURES, stride=2), _lrelu())
        self.mid_dilation = nn.Sequential()
        for dilation in (3, 2, 1):
            self.mid_dilation.append(_SpatialConv(FEATURES, FEATURES, 3, padding=dilation, dilation=dilation))
            self.mid_dilation.append(_lrelu())
        self.feat_prop_module = _SecondOrderPropagation()
        self.decoder2 = nn.Sequential(Conv3x3(FEATURES, FEATURES), _lrelu(), UpsampleConv(FEATURES, 64), _lrelu())
        self.decoder1 = nn.Sequential(Conv3x3(64, 64), _lrelu(), UpsampleConv(64, 32), _lrelu())
        self.upsample = nn.Sequential(Conv3x3(32, 32), _lrelu(), UpsampleConv(32, 2))
        self.edgeDetector = _EdgeDetector()

    def forward(self, flow_BT2HW: Tensor, mask_BT1HW: Tensor) -> Tensor:
        """Predict flow everywhere.

        Args:
            flow_BT2HW: 0 where mask is 1.
            mask_BT1HW: 1 inside the hole, else 0; as many as flows.

        Raises:
            ShapeError: a side is not a multiple of 8.
        """
        B, T, _, H, W = flow_BT2HW.shape
        if H % _SIDE_MULTIPLE_PX or W % _SIDE_MULTIPLE_PX:
            raise ShapeError(f"{W}x{H} flow cannot be completed. Give sides that are multiples of {_SIDE_MULTIPLE_PX}.")
        inputs_NCHW = torch.cat((flow_BT2HW, mask_BT1HW), dim=2).flatten(0, 1)
        padded_NCHW = F.pad(inputs_NCHW.to(self.feat_prop_module.fusion.weight.dtype), (2, 2, 2, 2), mode="replicate")
        padded = padded_NCHW.contiguous(memory_format=torch.channels_last).unflatten(0, (B, T))
        fine = self.encoder1(self.downsample(padded))
        coarse = self.feat_prop_module(self.mid_dilation(self.encoder2(fine)))
        # One frame at a time: nothing reaches over time from here on, and the finest maps are the peak of memory.
        frames = zip(coarse.unbind(1), fine.unbind(1), strict=True)
        decoded = [self.upsample(self.decoder1(self.decoder2(low) + high)) for low, high in frames]
        return torch.stack(decoded, dim=1).to(flow_BT2HW.dtype)


class _SpatialConv(nn.Conv3d):
    """A 1 x k x k convolution, run on (B, T, C, H, W) as a flat one, which is faster and the same."""

    def __init__(
        self, inputs: int, outputs: int, size: int, *, stride: int = 1, padding: int = 1, dilation: int = 1
    ) -> None:
        super().__init__(
            inputs, outputs, (1, size, size),
            stride=(1, stride, stride), padding=(0, padding, padding), dilation=(1, dilation, dilation),
        )  # fmt: skip

    def forward(self, x_BTCHW: Tensor) -> Tensor:
        B, T = x_BTCHW.shape[:2]
        flat_NCHW = F.conv2d(
            x_BTCHW.flatten(0, 1), self.weight[:, :, 0], self.bias,
            stride=self.stride[1:], padding=self.padding[1:], dilation=self.dilation[1:],
        )  # fmt: skip
        y_BTCHW: Tensor = flat_NCHW.unflatten(0, (B, T))
        return y_BTCHW


class _TemporalConv(nn.Conv3d):
    """A 3 x 1 x 1 convolution that reads two frames away, run on (B, T, C, H, W) with all places as one axis."""

    def __init__(self, features: int) -> None:
        super().__init__(features, features, (3, 1, 1), padding=(2, 0, 0), dilation=(2, 1, 1))

    def forward(self, x_BTCHW: Tensor) -> Tensor:
        H, W = x_BTCHW.shape[-2:]
        x_BCTN = x_BTCHW.transpose(1, 2).flatten(3)
        y_BCTN = F.conv2d(x_BCTN, self.weight[..., 0], self.bias, padding=(2, 0), dilation=(2, 1))
        y_BTCHW: Tensor = y_BCTN.unflatten(3, (H, W)).transpose(1, 2)
        return y_BTCHW


class _Pseudo3D(nn.Module):
    """A 3x3x3 neighbourhood in two steps: space, then time."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(_SpatialConv(inputs, outputs, 3, stride=stride), _lrelu())
        self.conv2 = nn.Sequential(_TemporalConv(outputs))

    def forward(self, x_BTCHW: Tensor) -> Tensor:
        y_BTCHW: Tensor = self.conv2(self.conv1(x_BTCHW))
        return y_BTCHW


class _SecondOrderPropagation(nn.Module):
    """A state carried from last frame to first, then from first to last, each step seeing the two before it."""

    def __init__(self) -> None:
        super().__init__()
        self.deform_align = nn.ModuleDict()
        self.backbone = nn.ModuleDict()
        for direction, seen in (("backward_", 2), ("forward_", 3)):
            self.deform_align[direction] = DeformableAlignment(2 * FEATURES, 3 * FEATURES, reach_px=_OFFSET_REACH_PX)
            self.backbone[direction] = nn.Sequential(
                Conv3x3(seen * FEATURES, FEATURES),
                nn.LeakyReLU(0.1, inplace=True),
                Conv3x3(FEATURES, FEATURES),
            )
        self.fusion = nn.Conv2d(2 * FEATURES, FEATURES, 1)

    def forward(self, spatial_BTCHW: Tensor) -> Tensor:
        spatial = spatial_BTCHW.unbind(1)
        backward = self._sweep("backward_", [[feature] for feature in reversed(spatial)])[::-1]
        forward = self._sweep("forward_", [list(seen) for seen in zip(spatial, backward, strict=True)])
        fused = [
            self.fusion(cat_channels(*both)) + feature
            for *both, feature in zip(backward, forward, spatial, strict=True)
        ]
        return torch.stack(fused, dim=1)

    def _sweep(self, direction: str, steps: list[list[Tensor]]) -> list[Tensor]:
        """States in the order of steps; a step is what is seen at one frame, its spatial feature first."""
        align, backbone = self.deform_align[direction], self.backbone[direction]
        before = state = torch.zeros_like(steps[0][0])
        states: list[Tensor] = []
        for seen in steps:
            aligned = state
            if states:
                aligned = align(cat_channels(state, before), cat_channels(state, seen[0], before))
            before, state = state, aligned + backbone(cat_channels(*seen, aligned))
            states.append(state)
        return states


class _EdgeDetector(nn.Module):
    """Serves the training loss alone; here so that the checkpoint loads whole."""

    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Sequential(Conv3x3(2, 16))
        self.mid_layer_1 = nn.Sequential(Conv3x3(16, 16))
        self.mid_layer_2 = nn.Sequential(Conv3x3(16, 16))
        self.out_layer = nn.Conv2d(16, 1, 1)


def _lrelu() -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True)
