"""Image propagation: known pixels carried along flow into the hole, frame to frame; and how its result is stored.

Owns the exact arithmetic that the learned refinement was trained on, so nothing here is tuned.
Axes: T frames, C channels, H rows, W columns; 2 is (dx, dy) in pixels.
Source: Zhou et al. 2023, section 3.2.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from propainter.ops.consistency import consistent
from propainter.ops.warp import warp

KNOWN, HOLE, KNOWN_GREY = 0, 1, 2
"""The fourth channel of a stored frame. A source outside the frame reads as 127.5, which 8 bits cannot hold: grey."""

_GREY = 128
"""How 127.5 is stored, the nearest even number."""

_MASK_THRESHOLD = 0.1


Pairs = Sequence[NDArray[np.float32]] | NDArray[np.float32]
"""T - 1 times flow (2, 2, H, W): forward or backward, (dx, dy) in pixels; asked for by number: it may lie on disk."""


def propagate_image(
    frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    hole: NDArray[np.bool_],
    flow: Pairs,
    device: str = "cpu",
) -> NDArray[np.uint8]:
    """Sweep backward in time, then forward, taking from the neighbour what is consistent and known there.

    Two frames at a time are numbers with a fraction; all others wait as 8 bits, which hold them exactly.

    Args:
        frames: RGB, T times (H, W, 3), asked for one by one; what is inside the hole is not read.
        hole: (T, H, W), True inside.
        flow: completed.
        device: where the arithmetic runs.

    Returns:
        (T, H, W, 4), RGB and KNOWN, HOLE or KNOWN_GREY; unpack_propagated reads it.
    """
    packed = np.empty((*hole.shape, 4), np.uint8)
    for place, frame in zip(packed, frames, strict=True):
        place[..., :3] = frame
    np.copyto(packed[..., :3], _GREY, where=hole[..., None])
    packed[..., 3] = np.where(hole, np.uint8(HOLE), np.uint8(KNOWN))
    pairs = range(len(packed) - 1)
    for target, source in chain(((t, t + 1) for t in reversed(pairs)), ((t + 1, t) for t in pairs)):
        if (packed[target, ..., 3] == HOLE).any():
            forward_2HW, backward_2HW = (torch.from_numpy(way).to(device)[None] for way in flow[min(target, source)])
            ways = (forward_2HW, backward_2HW) if target < source else (backward_2HW, forward_2HW)
            packed[target] = _take(packed[target], packed[source], *ways)
    return packed


def _take(
    target: NDArray[np.uint8], source: NDArray[np.uint8], flow_12HW: Tensor, check_12HW: Tensor
) -> NDArray[np.uint8]:
    """Target (H, W, 4) with what source shows of its hole; flow leads from target to source, check back."""
    (frame, hole), (source_frame, source_hole) = (
        (values.to(flow_12HW.device), torch.from_numpy(holes).to(flow_12HW.device)[:, None])
        for values, holes in (unpack_propagated(target[None]), unpack_propagated(source[None]))
    )
    hidden = warp(source_hole.to(flow_12HW.dtype), flow_12HW) > _MASK_THRESHOLD
    take = hole & consistent(flow_12HW, check_12HW) & ~hidden
    taken = torch.where(take, warp(source_frame, flow_12HW, mode="nearest"), frame)
    packed: NDArray[np.uint8] = pack_propagated(taken, hole & ~take)[0]
    return packed


def normalise_frames(frames: NDArray[np.uint8]) -> Tensor:
    """RGB of 8 bits, (T, H, W, 3), as float32 (T, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2).to(torch.float32) / 255 * 2 - 1


def pack_propagated(frames_TCHW: Tensor, hole_T1HW: Tensor) -> NDArray[np.uint8]:
    """Numbers in [-1, 1] and bool holes without loss: uint8 (T, H, W, 4), RGB and KNOWN, HOLE or KNOWN_GREY."""
    rgb_TCHW = ((frames_TCHW + 1) / 2 * 255).round().to(torch.uint8)
    grey_T1HW = (frames_TCHW == 0).all(dim=1, keepdim=True)
    code_T1HW = torch.where(hole_T1HW, HOLE, torch.where(grey_T1HW, KNOWN_GREY, KNOWN)).to(torch.uint8)
    return torch.cat((rgb_TCHW, code_T1HW), dim=1).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def unpack_propagated(packed: NDArray[np.uint8]) -> tuple[Tensor, NDArray[np.bool_]]:
    """Exactly what was packed: float32 frames (T, 3, H, W) in [-1, 1], 0 where grey or hole; bool holes (T, H, W)."""
    code = packed[..., 3]
    frames_TCHW = normalise_frames(packed[..., :3])
    frames_TCHW[torch.from_numpy(code != KNOWN)[:, None].expand_as(frames_TCHW)] = 0
    return frames_TCHW, code == HOLE
