"""From flow in cells of eight pixels to flow in pixels.

Axes: B pairs, h rows, w columns of cells; H = 8h, W = 8w; N all cells of all pairs; k = 9 neighbours,
p = 64 pixels of a cell, r and c their rows and columns.
"""

from torch import Tensor
from torch.nn import functional as F

CELL_PX = 8


def upsample_convex(flow_B2hw: Tensor, logits_B576hw: Tensor) -> Tensor:
    """Each pixel is a convex combination of the 3x3 cells around its own, zeros outside.

    Args:
        flow_B2hw: in cells.
        logits_B576hw: the mask head's output, viewed as (9 neighbours, 8 rows, 8 columns).

    Returns:
        (B, 2, 8h, 8w) in pixels.
    """
    B, _, h, w = flow_B2hw.shape
    weights_Nkp = (0.25 * logits_B576hw).permute(0, 2, 3, 1).reshape(-1, 9, CELL_PX**2).softmax(dim=1)
    around_N2k = F.unfold(CELL_PX * flow_B2hw, 3, padding=1).view(B, 2, 9, h * w).permute(0, 3, 1, 2).flatten(0, 1)
    fine_B2hrwc = (around_N2k @ weights_Nkp).view(B, h, w, 2, CELL_PX, CELL_PX).permute(0, 3, 1, 4, 2, 5)
    return fine_B2hrwc.reshape(B, 2, CELL_PX * h, CELL_PX * w)
