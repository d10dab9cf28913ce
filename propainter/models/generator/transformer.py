"""The generator's transformer: eight blocks of sparse attention and a feed-forward layer that mixes neighbours.

Axes: T frames, L of them local, R and S token rows and columns, C = 512 channels; h, w the map under the tokens:
    tokens_LRSC = transformer(tokens_TRSC, hole_RS, local=L, sides=(h, w), frames_at_once=T)
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from propainter.models.convolution import KeptReady
from propainter.models.generator.attention import SparseAttention, Windows
from propainter.ops.patches import SIDE, embed, overlap_11hw, spread, to_patches

CHANNELS = 512
BLOCKS = 8
_HIDDEN = 40


class SparseTransformer(nn.Module):
    """Blocks in a row; the last one answers for the local frames alone."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.Sequential(*(_Block() for _ in range(BLOCKS)))

    def forward(
        self, tokens_TRSC: Tensor, hole_RS: Tensor, *, local: int, sides: tuple[int, int], frames_at_once: int
    ) -> Tensor:
        """Let holes see what other places and frames show.

        Args:
            tokens_TRSC: local frames, then reference frames.
            hole_RS: True where any local frame's token touches a hole.
            local: how many frames are local.
            sides: rows and columns of the map that the tokens are patches of.
            frames_at_once: in the feed-forward layers; and attention takes as large a share of the windows with holes.

        Returns:
            (local, R, S, C).
        """
        windows = Windows.of(hole_RS)
        windows_at_once = max(1, len(windows.masked_Mn) * min(frames_at_once, len(tokens_TRSC)) // len(tokens_TRSC))
        tokens = tokens_TRSC
        for index, layer in enumerate(self.transformer):
            block = cast(_Block, layer)
            # References serve the last block as keys and values alone.
            wanted = local if index == BLOCKS - 1 else len(tokens)
            attended = block.attend(tokens, windows, queries=wanted, first_key=index % 2, at_once=windows_at_once)
            tokens = torch.cat([block.mix(frames, sides) for frames in attended.split(frames_at_once)])
        return tokens


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = SparseAttention(CHANNELS)
        self.norm1 = nn.LayerNorm(CHANNELS)
        self.norm2 = nn.LayerNorm(CHANNELS)
        self.mlp = _FeedForward()

    def attend(self, tokens_TRSC: Tensor, windows: Windows, *, queries: int, first_key: int, at_once: int) -> Tensor:
        attended: Tensor = self.attention(
            self.norm1(tokens_TRSC), windows, queries=queries, first_key=first_key, windows_at_once=at_once
        )
        return attended.add_(tokens_TRSC[:queries])

    def mix(self, tokens_QRSC: Tensor, sides: tuple[int, int]) -> Tensor:
        mixed: Tensor = self.mlp(self.norm2(tokens_QRSC), sides)
        return tokens_QRSC + mixed


class _FeedForward(nn.Module):
    """Linear, fold and unfold over the map, GELU, linear. GELU acts on the map, where each value exists once."""

    def __init__(self) -> None:
        super().__init__()
        hidden = _HIDDEN * SIDE**2
        self.fc1 = nn.Sequential(nn.Linear(CHANNELS, hidden))
        self.fc2 = nn.Sequential(nn.GELU(), nn.Linear(hidden, CHANNELS))
        self._to_patches = KeptReady()

    def forward(self, tokens_TRSC: Tensor, sides: tuple[int, int]) -> Tensor:
        layer = self._to_patches.of(self.fc1, lambda: to_patches(*_weight_and_bias(self.fc1[0])))
        map_T40hw = spread(tokens_TRSC, layer, *sides)
        mean_T40hw = map_T40hw / overlap_11hw(*sides, map_T40hw.device).to(map_T40hw.dtype)
        return embed(F.gelu(mean_T40hw), *_weight_and_bias(self.fc2[1]))


def _weight_and_bias(linear: nn.Module) -> tuple[Tensor, Tensor]:
    return linear.get_parameter("weight"), linear.get_parameter("bias")
