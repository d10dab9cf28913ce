"""Where two opposite flows tell the same story. Axes: B batch, H rows, W columns; 2 is (dx, dy) in pixels."""

from torch import Tensor

from propainter.ops.warp import warp

RELATIVE_TOLERANCE = 0.01
TOLERANCE_PX2 = 0.5


def consistent(flow_B2HW: Tensor, check_B2HW: Tensor) -> Tensor:
    """True where going along flow and back along check ends near the start.

    With b the check sampled bilinearly at x + f(x): |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5.

    Args:
        flow_B2HW: displacement from this frame to another, in pixels.
        check_B2HW: displacement from that other frame back to this one.

    Returns:
        bool, (B, 1, H, W).
    """
    back_B2HW = warp(check_B2HW, flow_B2HW)
    error_B1HW = (flow_B2HW + back_B2HW).square().sum(dim=1, keepdim=True)
    size_B1HW = flow_B2HW.square().sum(dim=1, keepdim=True) + back_B2HW.square().sum(dim=1, keepdim=True)
    return error_B1HW < RELATIVE_TOLERANCE * size_B1HW + TOLERANCE_PX2
