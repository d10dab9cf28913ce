"""RAFT whole: flow both ways along a run of frames, each frame encoded once, each pair correlated once.

Axes: T frames, P = T - 1 pairs, H rows, W columns; h, w an eighth of them; 2 is (dx, dy).
    features = raft.encode(frames_T3HW)
    flow_P22HW = raft.flow(features, iterations=20)
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from propainter.core.errors import ShapeError
from propainter.models.raft.correlation import CorrelationPyramid, correlate, correlate_both_ways
from propainter.models.raft.encoder import Encoder, InstanceNorm
from propainter.models.raft.update import HIDDEN, UpdateBlock
from propainter.models.raft.upsample import CELL_PX, upsample_convex

MIN_SIDE_PX = 128
"""Below, the coarsest correlation level is one cell wide, and the released code's sampling grid divides by zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFeatures:
    """What a pair needs of its two frames; depends on each frame alone."""

    matching_T256hw: Tensor
    context_T256hw: Tensor

    def of_last(self) -> "FrameFeatures":
        """Of the last frame alone."""
        return FrameFeatures(
            matching_T256hw=self.matching_T256hw[-1:].clone(), context_T256hw=self.context_T256hw[-1:].clone()
        )

    def to(self, device: torch.device) -> "FrameFeatures":
        return FrameFeatures(
            matching_T256hw=self.matching_T256hw.to(device), context_T256hw=self.context_T256hw.to(device)
        )


@dataclass(slots=True)
class LastFrame:
    """Where one run of frames leaves its last frame's features for the run that begins with that frame."""

    features: FrameFeatures | None = None


class Raft(nn.Module):
    """Optical flow; parameters as in the checkpoint raft-things.pth."""

    def __init__(self) -> None:
        super().__init__()
        self.fnet = Encoder(lambda channels: InstanceNorm())
        self.cnet = Encoder(nn.BatchNorm2d)
        self.update_block = UpdateBlock()

    def encode(self, frames_T3HW: Tensor) -> FrameFeatures:
        """Features of every frame, each computed once however many pairs use it.

        Args:
            frames_T3HW: RGB in [-1, 1].

        Raises:
            ShapeError: a side is not a multiple of 8, or under 128 pixels.
        """
        _check_sides(*frames_T3HW.shape[-2:])
        frames = frames_T3HW.to(self.fnet.conv1.weight.dtype).contiguous(memory_format=torch.channels_last)
        # One frame at a time: the finest maps are the peak of this network's memory.
        matching = torch.cat([self.fnet(frame) for frame in frames.split(1)])
        context = torch.cat([self.cnet(frame) for frame in frames.split(1)])
        return FrameFeatures(matching_T256hw=matching, context_T256hw=context)

    def flow(self, features: FrameFeatures, *, iterations: int, side_by_side: bool = True) -> Tensor:
        """Flow of all neighbouring pairs, (P, 2, 2, H, W) in pixels: axis 1 is forward, backward.

        side_by_side: both directions at once; else one after the other, in half the memory.
        """
        matching, context = features.matching_T256hw, features.context_T256hw
        first, second = matching[:-1], matching[1:]
        if side_by_side:
            both = self._refine(correlate_both_ways(first, second), torch.cat((context[:-1], context[1:])), iterations)
            return torch.stack(both.chunk(2), dim=1)
        forward = self._refine(correlate(first, second), context[:-1], iterations)
        return torch.stack((forward, self._refine(correlate(second, first), context[1:], iterations)), dim=1)

    def _refine(self, volume_BNN: Tensor, context_B256hw: Tensor, iterations: int) -> Tensor:
        pyramid = CorrelationPyramid(volume_BNN, *context_B256hw.shape[-2:])
        hidden, context = context_B256hw.split(HIDDEN, dim=1)
        hidden, block = hidden.tanh(), self.update_block
        shares = block.gru.context_share(context.relu())
        B, _, h, w = hidden.shape
        # Flow and places stay in float32 whatever the convolutions run in.
        start_B2hw = _cell_coordinates(h, w, hidden.device).expand(B, 2, h, w)
        flow_B2hw = torch.zeros_like(start_B2hw)
        for _ in range(iterations):
            correlation = pyramid.lookup(start_B2hw + flow_B2hw)
            motion = block.encoder(correlation.to(hidden.dtype), flow_B2hw.to(hidden.dtype))
            hidden = block.gru(hidden, motion, shares)
            flow_B2hw = flow_B2hw + block.flow_head(hidden)
        return upsample_convex(flow_B2hw, block.mask(hidden).to(flow_B2hw.dtype))


@torch.inference_mode()
def flow_both_ways(
    raft: Raft, frames: NDArray[np.uint8], *, iterations: int = 20, flows_at_once: int = 2,
    last: LastFrame | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    """Flow between neighbours in a run of frames.

    Args:
        raft: the network, on the device where it shall run.
        frames: RGB, (T, H, W, 3), T at least 2; sides multiples of 8 and at least 128.
        iterations: updates per pair; more is slower and finer.
        flows_at_once: refined together, two of them a pair; a matter of memory, not of result.
        last: if it holds features they are those of the first frame, which is not encoded again; holds the last one's
            afterwards. Encoded alone or with others, a frame's features are the same bits.

    Returns:
        (T - 1, 2, 2, H, W) in pixels: pair, forward or backward, (dx, dy).

    Raises:
        ShapeError: fewer than two frames, or sides as above.
    """
    if len(frames) < 2:
        raise ShapeError(f"flow needs at least 2 frames, but there are {len(frames)}. Give a longer clip.")
    device = next(raft.parameters()).device
    flow = np.empty((len(frames) - 1, 2, 2, *frames.shape[1:3]), np.float32)
    pairs_at_once = max(1, flows_at_once // 2)
    features = None if last is None or last.features is None else last.features.to(device)
    for start in range(0, len(flow), pairs_at_once):
        stop = min(start + pairs_at_once, len(flow))
        first_new = start if features is None else start + 1
        new = raft.encode(_normalise(frames[first_new : stop + 1], device))
        features = new if features is None else _extend(features, new)
        new_flow = raft.flow(features, iterations=iterations, side_by_side=flows_at_once > 1)
        flow[start:stop] = new_flow.cpu().numpy()
    if last is not None and features is not None:
        last.features = features.of_last()
    return flow


def _extend(old: FrameFeatures, new: FrameFeatures) -> FrameFeatures:
    """The last frame of old, then new: a run of pairs shares one frame with the run before."""
    return FrameFeatures(
        matching_T256hw=torch.cat((old.matching_T256hw[-1:], new.matching_T256hw)),
        context_T256hw=torch.cat((old.context_T256hw[-1:], new.context_T256hw)),
    )


def _normalise(frames: NDArray[np.uint8], device: torch.device) -> Tensor:
    return torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).to(torch.float32) / 255 * 2 - 1


def _cell_coordinates(h: int, w: int, device: torch.device) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    return torch.stack((columns, rows), dim=-1)[None].to(device, torch.float32).permute(0, 3, 1, 2)


def _check_sides(height_px: int, width_px: int) -> None:
    if height_px % CELL_PX or width_px % CELL_PX or min(height_px, width_px) < MIN_SIDE_PX:
        raise ShapeError(
            f"{width_px}x{height_px} is no size for RAFT. "
            f"Give sides that are multiples of {CELL_PX} and at least {MIN_SIDE_PX} pixels."
        )
