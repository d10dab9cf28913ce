"""Sampling one frame at the places where a flow says its pixels went.

Owns the one grid sampling that propagation, refinement and evaluation share.
Axes: B batch, C channels, H rows, W columns; 2 is (dx, dy) in pixels.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def warp(image_BCHW: Tensor, flow_B2HW: Tensor, mode: Literal["bilinear", "nearest"] = "bilinear") -> Tensor:
    """Read image at x + flow(x): what lies outside it reads as 0.

    Args:
        image_BCHW: floating point, the frame that the flow points into.
        flow_B2HW: displacement in pixels from the frame returned to image.
        mode: nearest takes whole pixels; halfway between two, the even one.

    Returns:
        Shape, dtype and device of image_BCHW.
    """
    height, width = flow_B2HW.shape[-2:]
    rows_H = torch.arange(height, dtype=flow_B2HW.dtype, device=flow_B2HW.device)
    columns_W = torch.arange(width, dtype=flow_B2HW.dtype, device=flow_B2HW.device)
    x_BHW = 2 * (flow_B2HW[:, 0] + columns_W) / max(width - 1, 1) - 1
    y_BHW = 2 * (flow_B2HW[:, 1] + rows_H[:, None]) / max(height - 1, 1) - 1
    grid_BHW2 = torch.stack((x_BHW, y_BHW), dim=-1).to(image_BCHW.dtype)
    return grid_sample(image_BCHW, grid_BHW2, mode=mode, padding_mode="zeros", align_corners=True)
