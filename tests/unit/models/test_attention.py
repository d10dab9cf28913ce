"""Sparse attention against the description of it, window by window."""

import torch
from torch import Tensor
from torch.nn import functional as F

from propainter.models.generator.attention import COLUMNS, HEADS, ROWS, SparseAttention, Windows, kept_after_rolling

T, R, S, C = 4, 7, 20, 16
ROLLS = ((-3, -5), (-3, 5), (3, -5), (3, 5))


def partition(map_TRSC: Tensor) -> Tensor:
    """(T, windows, 45, C)."""
    t, rows, columns, c = map_TRSC.shape
    cut = map_TRSC.view(t, rows // ROWS, ROWS, columns // COLUMNS, COLUMNS, c)
    return cut.transpose(2, 3).reshape(t, -1, ROWS * COLUMNS, c)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    heads = []
    for q, k, v in zip(query.chunk(HEADS, -1), key.chunk(HEADS, -1), value.chunk(HEADS, -1), strict=True):
        heads.append((q @ k.T / q.shape[-1] ** 0.5).softmax(-1) @ v)
    return torch.cat(heads, -1)


def described(layer: SparseAttention, tokens: Tensor, hole: Tensor, first_key: int) -> Tensor:
    padded = F.pad(tokens, (0, 0, 0, 27 - S, 0, 10 - R))
    own = partition(padded)
    holes = partition(F.pad(hole, (0, 27 - S, 0, 10 - R))[None, :, :, None])[0].flatten(1).any(1)
    pooled = layer.pool_layer(padded.permute(0, 3, 1, 2)).flatten(2).transpose(1, 2)[first_key::2].flatten(0, 1)

    def around(project: torch.nn.Module, window: int) -> Tensor:
        projected = project(padded)[first_key::2]
        rolled = [partition(projected.roll(roll, (1, 2)))[:, window] for roll in ROLLS]
        near = torch.cat(rolled, dim=1)[:, layer.valid_ind_rolled]
        parts = (partition(projected)[:, window].flatten(0, 1), near.flatten(0, 1), project(pooled))
        return torch.cat(parts)

    out = torch.empty_like(own)
    for window, masked in enumerate(holes.tolist()):
        query = layer.query(own[:, window])
        if masked:
            seen = attend(query.flatten(0, 1), around(layer.key, window), around(layer.value, window))
            out[:, window] = seen.view(T, ROWS * COLUMNS, C)
        else:
            for t in range(T):
                out[t, window] = attend(query[t], layer.key(own[t, window]), layer.value(own[t, window]))
    whole = out.view(T, 2, 3, ROWS, COLUMNS, C).transpose(2, 3).reshape(T, 10, 27, C)
    return layer.proj(whole[:, :R, :S])


@torch.inference_mode()
def check(holes: list[tuple[int, int]], first_key: int) -> None:
    torch.manual_seed(3)
    layer, tokens = SparseAttention(C), torch.randn(T, R, S, C)
    hole = torch.zeros(R, S, dtype=torch.bool)
    for row, column in holes:
        hole[row, column] = True
    windows = Windows.of(hole)
    expected = described(layer, tokens, hole, first_key)
    whole = layer(tokens, windows, queries=T, first_key=first_key, windows_at_once=2)
    torch.testing.assert_close(whole, expected, rtol=0, atol=1e-5)
    part = layer(tokens, windows, queries=2, first_key=first_key, windows_at_once=2)
    torch.testing.assert_close(part, expected[:2], rtol=0, atol=1e-5)


def test_windows_with_a_hole_look_around_and_the_others_at_themselves() -> None:
    check([(1, 1), (6, 19)], first_key=0)


def test_odd_blocks_look_at_odd_frames() -> None:
    check([(1, 1), (6, 19)], first_key=1)


def test_all_windows_may_hold_a_hole() -> None:
    check([(row, column) for row in (0, 6) for column in (0, 9, 19)], first_key=1)


def test_no_window_need_hold_a_hole() -> None:
    check([], first_key=0)


def test_the_rolled_windows_keep_148_tokens_without_the_windows_own() -> None:
    kept = kept_after_rolling()
    assert len(kept) == 148
    assert kept[:5].tolist() == [4, 5, 6, 7, 8]  # rolled by (-3, -5): the 2x4 corner is the window's own
    assert kept.diff().min() == 1
