"""One training sample, and the two ways to make another one of it that is as true: back in time, and mirrored."""

from typing import NamedTuple

import torch


class Sample(NamedTuple):
    """The first len(flow) + 1 frames are consecutive, the local ones; reference frames follow, in rising order.

    frames: uint8 RGB (T, H, W, 3). holes: bool (T, H, W), True inside. flow: float32 (L-1, 2, 2, H, W) between the
    L local frames: forward then backward, (dx, dy) in pixels. A batch has one more axis in front.
    """

    frames: torch.Tensor
    holes: torch.Tensor
    flow: torch.Tensor


def reverse(sample: Sample) -> Sample:
    """The local frames from last to first. What was forward flow is now backward flow; references stay."""
    local = len(sample.flow) + 1
    return Sample(
        frames=torch.cat([sample.frames[:local].flip(0), sample.frames[local:]]),
        holes=torch.cat([sample.holes[:local].flip(0), sample.holes[local:]]),
        flow=sample.flow.flip(0, 1),
    )


def flip(sample: Sample) -> Sample:
    """All frames mirrored left to right: dx changes its sign."""
    flow = sample.flow.flip(-1)
    flow[:, :, 0].neg_()
    return Sample(frames=sample.frames.flip(-2), holes=sample.holes.flip(-1), flow=flow)
