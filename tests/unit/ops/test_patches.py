"""Patches between tokens and map: torch's unfold and fold, in fewer steps. Sides with and without a rest of 3."""

import pytest
import torch
from torch.nn import functional as F

from propainter.ops.patches import PADDING, SIDE, STRIDE, embed, fold, overlap_11hw, spread, to_patches, token_sides

SIDES = [(6, 9), (8, 10), (7, 3), (2, 4)]


@pytest.mark.parametrize(("h", "w"), SIDES)
def test_fold_is_torchs(h: int, w: int) -> None:
    R, S = token_sides(h, w)
    patches = torch.randn(2, R, S, SIDE, SIDE, 5)
    columns = patches.permute(0, 5, 3, 4, 1, 2).reshape(2, 5 * SIDE**2, R * S)
    expected = F.fold(columns, (h, w), SIDE, stride=STRIDE, padding=PADDING)
    torch.testing.assert_close(fold(patches, h, w), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("h", "w"), SIDES)
def test_embed_is_unfold_and_a_linear_layer(h: int, w: int) -> None:
    features, weight, bias = torch.randn(2, 4, h, w), torch.randn(6, 4 * SIDE**2), torch.randn(6)
    columns = F.unfold(features, SIDE, stride=STRIDE, padding=PADDING)
    expected = F.linear(columns.transpose(1, 2), weight, bias).view(2, *token_sides(h, w), 6)
    torch.testing.assert_close(embed(features, weight, bias), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("h", "w"), SIDES)
def test_spread_is_a_linear_layer_and_fold(h: int, w: int) -> None:
    tokens, weight, bias = torch.randn(2, *token_sides(h, w), 6), torch.randn(4 * SIDE**2, 6), torch.randn(4 * SIDE**2)
    columns = F.linear(tokens, weight, bias).flatten(1, 2).transpose(1, 2)
    expected = F.fold(columns, (h, w), SIDE, stride=STRIDE, padding=PADDING)
    torch.testing.assert_close(spread(tokens, to_patches(weight, bias), h, w), expected, rtol=0, atol=1e-4)


def test_overlap_counts_the_patches_over_each_place() -> None:
    row = overlap_11hw(1, 9, torch.device("cpu")).flatten().tolist()
    assert row == [2, 2, 2, 3, 2, 2, 2, 1, 1]
