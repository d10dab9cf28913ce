"""Channels last in memory: the order in which a CPU's convolutions run fastest.

Axes: B batch, C channels, H rows, W columns.
"""

import torch
from torch import Tensor


def cat_channels(*maps_BCHW: Tensor) -> Tensor:
    """Concatenate along channels; the result has its channels last in memory whatever the parts have.

    torch.cat would fall back to channels first as soon as one part differs, and every convolution after it with it.
    """
    return torch.cat([part.permute(0, 2, 3, 1) for part in maps_BCHW], dim=3).permute(0, 3, 1, 2)
