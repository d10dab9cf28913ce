"""Patches of 7x7 at every third place: the map between tokens and a feature map.

Axes: T frames, R and S token rows and columns, C channels, h and w rows and columns of the map; R = h / 3 and
S = w / 3, rounded up:
    map_TChw = fold(patches_TRS77C, h, w)
    tokens_TRSO = embed(map_TChw, weight_OP, bias_O)        P = C * 7 * 7, the order of torch's unfold
    map_TChw = spread(tokens_TRSO, to_patches(weight_PO, bias_P), h, w)
"""

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from propainter.ops.linear import ReadyLinear

SIDE = 7
STRIDE = 3
PADDING = 3


def token_sides(h: int, w: int) -> tuple[int, int]:
    """Rows and columns of tokens over a map."""
    return -(-h // STRIDE), -(-w // STRIDE)


def embed(map_TChw: Tensor, weight_OP: Tensor, bias_O: Tensor) -> Tensor:
    """Unfold, then a linear layer: one strided convolution. Zeros around the map; (T, R, S, O)."""
    weight_OC77 = weight_OP.view(len(weight_OP), -1, SIDE, SIDE)
    tokens_TORS = F.conv2d(map_TChw, weight_OC77, bias_O, stride=STRIDE, padding=PADDING)
    return tokens_TORS.permute(0, 2, 3, 1)


def to_patches(weight_PO: Tensor, bias_P: Tensor) -> ReadyLinear:
    """A linear layer to patches as `spread` takes it; once for many calls."""
    # Channels last within a patch, so that fold adds long contiguous runs.
    weight = weight_PO.unflatten(0, (-1, SIDE * SIDE)).transpose(0, 1).flatten(0, 1)
    return ReadyLinear.of(weight, bias_P.view(-1, SIDE * SIDE).t().flatten())


def spread(tokens_TRSO: Tensor, layer: ReadyLinear, h: int, w: int) -> Tensor:
    """Tokens to patches, then fold: the sum of what overlaps, (T, C, h, w), channels last in memory."""
    return fold(layer(tokens_TRSO.contiguous()).unflatten(3, (SIDE, SIDE, -1)), h, w)


def fold(patches_TRS77C: Tensor, h: int, w: int) -> Tensor:
    """Sum patches where they overlap, (T, C, h, w): torch's fold, by whole rows and columns of patches."""
    rows_TRySxC = _fold_axis(patches_TRS77C, 1, 3).transpose(2, 3)  # (T, R, S, 3, 7, C) to (T, R, 3, S, 7, C)
    map_TRySxC = _fold_axis(rows_TRySxC, 3, 4)  # (T, R, 3, S, 3, C)
    map_THWC = map_TRySxC.flatten(3, 4).flatten(1, 2)
    return map_THWC[:, :h, :w].permute(0, 3, 1, 2)


def _fold_axis(patches: Tensor, tokens: int, taps: int) -> Tensor:
    """Sum seven taps into the three places that a token owns; a patch reaches over its two neighbours' as well.

    Place 3i + p is met by tap p + 3 of token i, tap p + 6 of token i - 1 and tap p of token i + 1.
    """
    count = patches.shape[tokens]
    own = patches.narrow(taps, 3, 3).clone()
    if count > 1:
        # Tap 6 reaches one place into the next token's, taps 0 to 2 the three of the token before.
        own.narrow(tokens, 1, count - 1).narrow(taps, 0, 1).add_(
            patches.narrow(taps, 6, 1).narrow(tokens, 0, count - 1)
        )
        own.narrow(tokens, 0, count - 1).add_(patches.narrow(taps, 0, 3).narrow(tokens, 1, count - 1))
    return own


@functools.lru_cache(maxsize=8)
@torch.inference_mode(False)  # kept for training too, which refuses inference tensors
def overlap_11hw(h: int, w: int, device: torch.device) -> Tensor:
    """How many patches cover each place."""
    R, S = token_sides(h, w)
    return fold(torch.ones(1, R, S, SIDE, SIDE, 1, device=device), h, w)
