"""Sparse attention: windows of tokens that hold a hole look around themselves and through time, others at themselves.

Axes: T frames, R and S token rows and columns, C = 512 channels; N tokens of the map padded to whole windows, n = 45
tokens of one window, M and U windows with and without a hole, A = 45 + 148 tokens of a window and around it:
    out_QRSC = attention(tokens_TRSC, windows, queries=Q, first_key=0, windows_at_once=M)
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from propainter.ops.linear import linear

HEADS = 4
ROWS, COLUMNS = 5, 9
_ROLLED_ROWS, _ROLLED_COLUMNS = 3, 5
_POOL = 4


def kept_after_rolling() -> Tensor:
    """Which of the 4 x 45 tokens of the four rolled windows lie outside the window itself: 148, ascending."""
    rows, columns = torch.meshgrid(torch.arange(ROWS), torch.arange(COLUMNS), indexing="ij")
    above, below = rows < ROWS - _ROLLED_ROWS, rows >= _ROLLED_ROWS
    left, right = columns < COLUMNS - _ROLLED_COLUMNS, columns >= _ROLLED_COLUMNS
    repeats = torch.stack((above & left, above & right, below & left, below & right))
    return (~repeats).flatten().nonzero().flatten()


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Where the windows of a token map lie, as indices into its padded tokens, and which of them hold a hole."""

    padded_rows: int
    padded_columns: int
    masked_Mn: Tensor
    around_MA: Tensor
    unmasked_Un: Tensor

    @classmethod
    def of(cls, hole_RS: Tensor) -> "Windows":
        """Windows of a token map; hole is True where any local frame's token touches a hole."""
        R, S = hole_RS.shape
        rows, columns = -(-R // ROWS) * ROWS, -(-S // COLUMNS) * COLUMNS
        token_RS = torch.arange(rows * columns, device=hole_RS.device).view(rows, columns)
        rolls = [(a, b) for a in (-_ROLLED_ROWS, _ROLLED_ROWS) for b in (-_ROLLED_COLUMNS, _ROLLED_COLUMNS)]
        rolled = torch.cat([_partition(token_RS.roll(roll, (0, 1))) for roll in rolls], dim=1)
        own = _partition(token_RS)
        around = torch.cat((own, rolled[:, kept_after_rolling().to(rolled.device)]), dim=1)
        masked = _partition(F.pad(hole_RS, (0, columns - S, 0, rows - R))).any(dim=1)
        return cls(
            padded_rows=rows, padded_columns=columns,
            masked_Mn=own[masked], around_MA=around[masked], unmasked_Un=own[~masked],
        )  # fmt: skip


def _partition(map_RS: Tensor) -> Tensor:
    """Windows by their 45 tokens, both row by row."""
    R, S = map_RS.shape
    return map_RS.view(R // ROWS, ROWS, S // COLUMNS, COLUMNS).transpose(1, 2).reshape(-1, ROWS * COLUMNS)


class SparseAttention(nn.Module):
    """Attention of one block; the checkpoint keeps the table of rolled tokens beside its weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.key = nn.Linear(channels, channels)
        self.query = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.proj = nn.Linear(channels, channels)
        self.pool_layer = nn.Conv2d(channels, channels, _POOL, stride=_POOL, groups=channels)
        self.register_buffer("valid_ind_rolled", kept_after_rolling())

    def forward(
        self, tokens_TRSC: Tensor, windows: Windows, *, queries: int, first_key: int, windows_at_once: int
    ) -> Tensor:
        """Attend.

        Args:
            tokens_TRSC: local frames, then reference frames; normalised.
            windows: of this token map.
            queries: frames, from the first on, whose result is wanted.
            first_key: masked windows look at frames first_key, first_key + 2, ...
            windows_at_once: masked windows whose surroundings lie in memory together.

        Returns:
            (queries, R, S, C).
        """
        R, S = tokens_TRSC.shape[1:3]
        # Padding takes part like any token: its keys and values are the projections' biases.
        padded = F.pad(tokens_TRSC, (0, 0, 0, windows.padded_columns - S, 0, windows.padded_rows - R))
        tokens_TNC = padded.flatten(1, 2)
        seen = slice(first_key, None, 2)
        seen_KNC = tokens_TNC[seen].contiguous()
        keys_KNC, values_KNC = _project(self.key, seen_KNC), _project(self.value, seen_KNC)
        out_QNC = tokens_TNC.new_empty(queries, *tokens_TNC.shape[1:])
        if len(windows.masked_Mn):
            pooled_KPC = self._pool(padded[seen])
            keys, values = (keys_KNC, _project(self.key, pooled_KPC)), (values_KNC, _project(self.value, pooled_KPC))
            parts = zip(windows.masked_Mn.split(windows_at_once), windows.around_MA.split(windows_at_once), strict=True)
            for masked_Mn, around_MA in parts:
                out_QNC[:, masked_Mn] = self._attend_widely(tokens_TNC[:queries, masked_Mn], around_MA, keys, values)
        if len(windows.unmasked_Un):
            own_QUnC = tokens_TNC[:queries, windows.unmasked_Un]
            known = slice(first_key, queries, 2)
            key_QUnC, value_QUnC = (
                _complete(layer, own_QUnC, known, of_seen_KNC[: len(own_QUnC[known]), windows.unmasked_Un])
                for layer, of_seen_KNC in ((self.key, keys_KNC), (self.value, values_KNC))
            )
            out_QNC[:, windows.unmasked_Un] = _attend_within(_project(self.query, own_QUnC), key_QUnC, value_QUnC)
        out_QRSC = out_QNC.unflatten(1, (windows.padded_rows, windows.padded_columns))[:, :R, :S]
        projected_QRSC: Tensor = _project(self.proj, out_QRSC)
        return projected_QRSC

    def _pool(self, padded_KRSC: Tensor) -> Tensor:
        """One token for 4x4, a last incomplete row or column left out: (K, P, C)."""
        pooled_KCRS = self.pool_layer(padded_KRSC.permute(0, 3, 1, 2))
        pooled_KPC: Tensor = pooled_KCRS.flatten(2).transpose(1, 2)
        return pooled_KPC

    def _attend_widely(
        self, own_QMnC: Tensor, around_MA: Tensor, keys: tuple[Tensor, Tensor], values: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Tokens of a masked window, of all frames jointly, look at its surroundings and the pooled map."""
        query_MhXd = _heads(_project(self.query, own_QMnC).transpose(0, 1).flatten(1, 2))
        key_MhYd, value_MhYd = (
            _heads(torch.cat((fine_KNC[:, around_MA], _for_each(pooled_KPC, len(around_MA))), dim=2)
                   .transpose(0, 1).flatten(1, 2))
            for fine_KNC, pooled_KPC in (keys, values)
        )  # fmt: skip
        seen_MhXd = F.scaled_dot_product_attention(query_MhXd, key_MhYd, value_MhYd)
        seen_QMnC: Tensor = seen_MhXd.transpose(1, 2).flatten(2).unflatten(1, (len(own_QMnC), -1)).transpose(0, 1)
        return seen_QMnC


def _attend_within(query_QUnC: Tensor, key_QUnC: Tensor, value_QUnC: Tensor) -> Tensor:
    """Tokens of an unmasked window look at those of the same window and frame."""
    query, key, value = (_heads(x_QUnC.flatten(0, 1)) for x_QUnC in (query_QUnC, key_QUnC, value_QUnC))
    seen_XhnD = F.scaled_dot_product_attention(query, key, value)
    seen_QUnC: Tensor = seen_XhnD.transpose(1, 2).flatten(2).view_as(query_QUnC)
    return seen_QUnC


def _complete(layer: nn.Module, own_QUnC: Tensor, known: slice, of_known_KUnC: Tensor) -> Tensor:
    """A layer's results for all frames, of which masked windows needed every other one already."""
    result_QUnC = torch.empty_like(own_QUnC)
    result_QUnC[known] = of_known_KUnC
    others = slice(1 - known.start, None, 2)
    result_QUnC[others] = _project(layer, own_QUnC[others])
    return result_QUnC


def _project(layer: nn.Module, x: Tensor) -> Tensor:
    """A quantised layer has its own way."""
    return linear(x, layer.weight, layer.bias) if type(layer) is nn.Linear else layer(x)


def _heads(x_BXC: Tensor) -> Tensor:
    """(B, heads, X, C / heads), consecutive channels to a head."""
    x_BhXd: Tensor = x_BXC.unflatten(2, (HEADS, -1)).transpose(1, 2)
    return x_BhXd


def _for_each(pooled_KPC: Tensor, windows: int) -> Tensor:
    """The pooled tokens, which all windows share, as if each had its own: (K, M, P, C)."""
    return pooled_KPC[:, None].expand(-1, windows, -1, -1)
