"""Image propagation: known pixels carried along flow into the hole, frame to frame; and how its result is stored.

Owns the exact arithmetic that the learned refinement was trained on, so nothing here is tuned.
Axes: T frames, C channels, H rows, W columns; 2 is (dx, dy) in pixels.
Source: Zhou et al. 2023, section 3.2.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from propainter.ops.consistency import consistent
from propainter.ops.warp import warp

KNOWN, HOLE, KNOWN_GREY = 0, 1, 2
"""The fourth channel of a stored frame. A source outside the frame reads as 127.5, which 8 bits cannot hold: grey."""

_MASK_THRESHOLD = 0.1


def propagate_image(
    frames_TCHW: Tensor, hole_T1HW: Tensor, forward_T2HW: Tensor, backward_T2HW: Tensor
) -> tuple[Tensor, Tensor]:
    """Sweep backward in time, then forward, taking from the neighbour what is consistent and known there.

    Args:
        frames_TCHW: float32 in [-1, 1]; what is inside the hole is not read.
        hole_T1HW: bool, True inside.
        forward_T2HW: T-1 completed flows from frame t to t+1.
        backward_T2HW: T-1 completed flows from frame t+1 to t.

    Returns:
        Frames, with 0 where they are still hole, and the bool hole that stays, shapes as given.
    """
    frames = [frame[None] for frame in frames_TCHW * ~hole_T1HW]
    holes = [hole[None] for hole in hole_T1HW]
    pairs = range(len(frames) - 1)
    _sweep(frames, holes, ((t, t + 1, forward_T2HW[t], backward_T2HW[t]) for t in reversed(pairs)))
    _sweep(frames, holes, ((t + 1, t, backward_T2HW[t], forward_T2HW[t]) for t in pairs))
    return torch.cat(frames), torch.cat(holes)


def _sweep(frames: list[Tensor], holes: list[Tensor], steps: Iterable[tuple[int, int, Tensor, Tensor]]) -> None:
    """Fill each target from its source in place, in the order given; steps are (target, source, flow, check)."""
    for target, source, flow_2HW, check_2HW in steps:
        flow, check = flow_2HW[None], check_2HW[None]
        source_hole = warp(holes[source].to(flow.dtype), flow) > _MASK_THRESHOLD
        take = holes[target] & consistent(flow, check) & ~source_hole
        frames[target] = torch.where(take, warp(frames[source], flow, mode="nearest"), frames[target])
        holes[target] = holes[target] & ~take


def normalise_frames(frames: NDArray[np.uint8]) -> Tensor:
    """RGB of 8 bits, (T, H, W, 3), as float32 (T, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2).to(torch.float32) / 255 * 2 - 1


def pack_propagated(frames_TCHW: Tensor, hole_T1HW: Tensor) -> NDArray[np.uint8]:
    """Store what propagate_image returned without loss: uint8 (T, H, W, 4), RGB and KNOWN, HOLE or KNOWN_GREY."""
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
