"""Recurrent flow completion: flow inside the holes from the flow around them and before and after.

Axes: B directions, T flows, C channels, H rows, W columns; 2 is (dx, dy) in pixels:
    prediction_BT2HW = network(flow_BT2HW, mask_BT1HW)
Source: Zhou et al. 2023, section 3.1.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from propainter.core.errors import ShapeError
from propainter.models.alignment import FEATURES, DeformableAlignment
from propainter.models.convolution import Conv1x1, Conv3x3, KeptReady, ReadyConv
from propainter.models.upsample_conv import UpsampleConv
from propainter.ops.layout import cat_channels
from propainter.ops.linear import linear
from propainter.ops.propagation import Pairs

_SIDE_MULTIPLE_PX = 8
_OFFSET_REACH_PX = 5.0


@torch.inference_mode()
def complete(
    network: "FlowCompletion",
    flow: Pairs,
    hole: NDArray[np.bool_],
    *,
    core: slice = slice(None),
    directions_at_once: int = 2,
) -> NDArray[np.float32]:
    """Fill flow inside holes; known flow comes back unchanged.

    Args:
        network: on the device where it shall run.
        flow: T - 1 times (2, 2, H, W): forward or backward, (dx, dy) in pixels; what is in a hole is not read. Asked
            for pair by pair, so that it need not lie in memory.
        hole: (T, H, W), True inside, of the frames the pairs are made of.
        core: the pairs to return; the others are context.
        directions_at_once: 2, or 1 in half the memory: a matter of memory, not of result.

    Returns:
        (pairs of core, 2, 2, H, W).

    Raises:
        ShapeError: a side is not a multiple of 8, or flow and hole do not go together.
    """
    if len(hole) != len(flow) + 1 or hole.shape[1:] != flow[0].shape[-2:]:
        shape = (len(flow), *flow[0].shape)
        raise ShapeError(f"holes {hole.shape} do not go with flow {shape}. Give one hole more than pairs.")
    wanted = range(len(flow))[core]
    out = np.stack([flow[pair] for pair in wanted])
    for directions in ((0, 1),) if directions_at_once > 1 else ((0,), (1,)):
        _fill(out, network, flow, hole, wanted, directions)
    return out


def _fill(
    out: NDArray[np.float32], network: "FlowCompletion", flow: Pairs, hole: NDArray[np.bool_], wanted: range,
    directions: Sequence[int],
) -> None:  # fmt: skip
    """Put what the network predicts into the holes of out, which holds the wanted pairs."""
    device, pairs = next(network.parameters()).device, range(len(flow))
    # Backward flow is walked back in time: along it the network sees motion go on as in forward flow.
    steps = list(zip(*(reversed(pairs) if direction else pairs for direction in directions), strict=True))

    def places(step: Sequence[int]) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
        """Pair, direction, and the hole that this flow starts in: at the pair's first frame, or at its second."""
        for pair, direction in zip(step, directions, strict=True):
            yield pair, direction, hole[pair + direction]

    def masked(step: Sequence[int]) -> Tensor:
        inputs = []
        for pair, direction, inside in places(step):
            mask_1HW = torch.from_numpy(inside).to(device)[None]
            inputs.append(torch.cat((torch.from_numpy(flow[pair][direction]).to(device) * ~mask_1HW, mask_1HW)))
        return torch.stack(inputs)

    needed = [any(pair in wanted and inside.any() for pair, _, inside in places(step)) for step in steps]
    predictions = network.predict(map(masked, steps), needed)
    for step, prediction_B2HW in zip(compress(steps, needed), predictions, strict=True):
        for (pair, direction, inside), predicted in zip(places(step), prediction_B2HW, strict=True):
            if pair in wanted:
                np.copyto(out[pair - wanted.start, direction], predicted.cpu().numpy(), where=inside)


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
        inputs_BT3HW = torch.cat((flow_BT2HW, mask_BT1HW), dim=2)
        predictions = self.predict(inputs_BT3HW.unbind(1), [True] * flow_BT2HW.shape[1])
        return torch.stack(list(predictions), dim=1)

    def predict(self, inputs: Iterable[Tensor], needed: Sequence[bool]) -> Iterator[Tensor]:
        """The same flow by flow, so that what lies in memory for all of them is only what the recurrence needs.

        Args:
            inputs: flow and mask, (B, 3, H, W), in order of time.
            needed: whose prediction is asked for.

        Yields:
            The needed predictions, (B, 2, H, W), float32.

        Raises:
            ShapeError: a side is not a multiple of 8.
        """
        fine: list[Tensor | None] = []

        def kept(maps: Iterable[Tensor]) -> Iterator[Tensor]:
            for fine_map in maps:
                fine.append(fine_map if needed[len(fine)] else None)
                yield fine_map

        first = _along(self.encoder1, map(self.downsample, map(self._padded, inputs)))
        spatial = [self.mid_dilation(coarse) for coarse in _along(self.encoder2, kept(first))]
        for index, coarse in enumerate(self.feat_prop_module(spatial)):
            detail, fine[index] = fine[index], None
            if detail is not None:
                yield self.upsample(self.decoder1(self.decoder2(coarse) + detail)).to(torch.float32)

    def _padded(self, input_B3HW: Tensor) -> Tensor:
        H, W = input_B3HW.shape[-2:]
        if H % _SIDE_MULTIPLE_PX or W % _SIDE_MULTIPLE_PX:
            raise ShapeError(f"{W}x{H} flow cannot be completed. Give sides that are multiples of {_SIDE_MULTIPLE_PX}.")
        padded = F.pad(input_B3HW.to(self.feat_prop_module.fusion.weight.dtype), (2, 2, 2, 2), mode="replicate")
        return padded.contiguous(memory_format=torch.channels_last)


def _along(layers: nn.Sequential, maps: Iterable[Tensor]) -> Iterator[Tensor]:
    """Layers, some of which look over time, on maps that come one after the other."""
    for layer in layers:
        maps = layer.along(maps) if isinstance(layer, _Pseudo3D) else map(layer, maps)
    return iter(maps)


class _SpatialConv(nn.Conv3d):
    """A 1 x k x k convolution, run on (B, C, H, W) as a flat one, which is faster and the same."""

    def __init__(
        self, inputs: int, outputs: int, size: int, *, stride: int = 1, padding: int = 1, dilation: int = 1
    ) -> None:
        super().__init__(
            inputs, outputs, (1, size, size),
            stride=(1, stride, stride), padding=(0, padding, padding), dilation=(1, dilation, dilation),
        )  # fmt: skip
        self._is_plain = (size, stride, padding, dilation) == (3, 1, 1, 1)
        self._ready = KeptReady()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if self._is_plain:
            ready = self._ready.of(self, lambda: ReadyConv.of(self.weight[:, :, 0], self.bias))
            return ready(x_BCHW, (1, 1))
        return F.conv2d(
            x_BCHW, self.weight[:, :, 0], self.bias,
            stride=self.stride[1:], padding=self.padding[1:], dilation=self.dilation[1:],
        )  # fmt: skip


class _TemporalConv(nn.Conv3d):
    """A 3 x 1 x 1 convolution that reads two frames before and two after; zeros before the first and after the last."""

    def __init__(self, features: int) -> None:
        super().__init__(features, features, (3, 1, 1), padding=(2, 0, 0), dilation=(2, 1, 1))

    def along(self, maps: Iterable[Tensor]) -> Iterator[Tensor]:
        """On maps (B, C, H, W) that come one after the other; holds five of them."""
        weight_O3C = self.weight.flatten(2).transpose(1, 2).flatten(1)
        maps = iter(maps)
        first = next(maps)
        nothing = torch.zeros_like(first)
        seen = deque((nothing, nothing, nothing, first), maxlen=5)
        for index, newest in enumerate(chain(maps, (nothing, nothing)), start=1):
            seen.append(newest)
            if index >= 2:
                seen_B3CHW = cat_channels(seen[0], seen[2], seen[4])
                yield linear(seen_B3CHW.permute(0, 2, 3, 1), weight_O3C, self.bias).permute(0, 3, 1, 2)


class _Pseudo3D(nn.Module):
    """A 3x3x3 neighbourhood in two steps: space, then time."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(_SpatialConv(inputs, outputs, 3, stride=stride), _lrelu())
        self.conv2 = nn.Sequential(_TemporalConv(outputs))

    def along(self, maps: Iterable[Tensor]) -> Iterator[Tensor]:
        over_time: _TemporalConv = self.conv2[0]  # type: ignore[assignment]
        return over_time.along(map(self.conv1, maps))


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
        self.fusion = Conv1x1(2 * FEATURES, FEATURES)

    def forward(self, spatial: list[Tensor]) -> Iterator[Tensor]:
        """Features (B, 128, H, W) of all frames to the same that know what is before and after; empties the list."""
        backward = [state for _, state in self._sweep("backward_", ([feature] for feature in reversed(spatial)))]
        spatial.reverse()
        # Both lists end with the first frame now: what was used is let go of.
        steps = ([spatial.pop(), backward.pop()] for _ in range(len(spatial)))
        for (feature, after), state in self._sweep("forward_", steps):
            yield self.fusion(cat_channels(after, state)) + feature

    def _sweep(self, direction: str, steps: Iterable[list[Tensor]]) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Each step with the state after it; a step is what is seen at one frame, its spatial feature first."""
        align, backbone = self.deform_align[direction], self.backbone[direction]
        for index, seen in enumerate(steps):
            if index == 0:
                before = state = aligned = torch.zeros_like(seen[0])
            else:
                aligned = align(cat_channels(state, before), cat_channels(state, seen[0], before))
            before, state = state, aligned + backbone(cat_channels(*seen, aligned))
            yield seen, state


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
