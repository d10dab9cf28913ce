"""Flicker: what changes from frame to frame although nothing moved (Lai et al. 2018, warping error)."""

import numpy as np
import torch
from numpy.typing import NDArray

from propainter.ops.consistency import consistent
from propainter.ops.warp import warp


def e_warp(frames: NDArray[np.uint8], flow: NDArray[np.float32]) -> NDArray[np.float64]:
    """Warping error of each pair of neighbouring frames.

    With V_t the colours of frame t in [0, 1] and f the flow from t to t+1: the mean over counted pixels x and the three
    colours of (V_t(x) - V_t+1(x + f(x)))^2, sampled bilinearly. A pixel is counted where x + f(x) lies in the frame
    and is not occluded: `ops.consistency.consistent` finds that the backward flow leads back to x.

    Args:
        frames: of the result, RGB, (T, H, W, 3).
        flow: of the truth, so that results are measured alike: (T-1, 2, 2, H, W), forward then backward, (dx, dy) px.

    Returns:
        (T-1,); NaN where no pixel is counted.

    Source: Lai et al. 2018, "Learning Blind Video Temporal Consistency", section 4; occlusion without its test for
    motion boundaries.
    """
    return np.array([_of_pair(frames[t : t + 2], flow[t]) for t in range(len(flow))], np.float64)


def _of_pair(frames: NDArray[np.uint8], flow: NDArray[np.float32]) -> float:
    height, width = flow.shape[-2:]
    forward_12HW, backward_12HW = torch.from_numpy(flow)[:, None]
    now_13HW, next_13HW = torch.from_numpy(frames).permute(0, 3, 1, 2)[:, None].float() / 255
    x_HW = torch.arange(width) + forward_12HW[0, 0]
    y_HW = torch.arange(height)[:, None] + forward_12HW[0, 1]
    inside_HW = (x_HW >= 0) & (x_HW <= width - 1) & (y_HW >= 0) & (y_HW <= height - 1)
    counted_HW = inside_HW & consistent(forward_12HW, backward_12HW)[0, 0]
    error_3HW = (now_13HW - warp(next_13HW, forward_12HW))[0].square()
    return float(error_3HW[:, counted_HW].double().mean())  # the mean of nothing is NaN
