"""Working on a part of a map as if on all of it.

A layer's part needs a slightly larger part of its input; regions say which, and the operations here give the values
that the whole map's would have. Axes: B batch, C channels, H and W rows and columns of the whole map, h and w
of a part.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Span:
    """Places start, ..., stop - 1 of an axis that has size."""

    start: int
    stop: int
    size: int

    def grow(self, by: int) -> "Span":
        return Span(max(self.start - by, 0), min(self.stop + by, self.size), self.size)

    def halved(self) -> "Span":
        """What a doubling with aligned corners reads to make this span of its result."""
        half = self.size // 2
        first, last = (place * (half - 1) // (self.size - 1) for place in (self.start, self.stop - 1))
        # One more on both sides, because float32 may put a place on the other side of a whole number.
        return Span(first, last + 2, half).grow(1)

    def within(self, outer: "Span") -> slice:
        return slice(self.start - outer.start, self.stop - outer.start)


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a map."""

    rows: Span
    columns: Span

    @classmethod
    def whole(cls, height: int, width: int) -> "Region":
        return cls(Span(0, height, height), Span(0, width, width))

    def grow(self, by: int) -> "Region":
        return Region(self.rows.grow(by), self.columns.grow(by))

    def halved(self) -> "Region":
        return Region(self.rows.halved(), self.columns.halved())


def crop(map_BChw: Tensor, have: Region, want: Region) -> Tensor:
    """The part `want` of a map of which the part `have` is given."""
    return map_BChw[:, :, want.rows.within(have.rows), want.columns.within(have.columns)]


def conv(map_BChw: Tensor, inside: Callable[[Tensor], Tensor], have: Region, want: Region) -> Tensor:
    """A 3x3 convolution with zeros around the whole map; reads `want` grown by 1.

    Args:
        inside: the convolution without zeros around: it takes a place from each side.
    """
    read = want.grow(1)
    rows = (1 - want.rows.start + read.rows.start, 1 - read.rows.stop + want.rows.stop)
    columns = (1 - want.columns.start + read.columns.start, 1 - read.columns.stop + want.columns.stop)
    # Padding in place of the rim's zeros where the region meets the map's edge.
    return inside(F.pad(crop(map_BChw, have, read), (*columns, *rows)))


def double(map_BChw: Tensor, have: Region, want: Region) -> Tensor:
    """Bilinear, twice the sides, corners aligned: a place depends on the whole map's size, not on the part's."""
    map_BChw = _double_axis(map_BChw, 2, have.rows, want.rows)
    return _double_axis(map_BChw, 3, have.columns, want.columns)


def _double_axis(map_BChw: Tensor, axis: int, have: Span, want: Span) -> Tensor:
    places = torch.arange(want.start, want.stop, dtype=torch.float32, device=map_BChw.device)
    places = places * ((have.size - 1) / (want.size - 1))
    low = places.long()
    fraction = (places - low).to(map_BChw.dtype).view(-1, *[1] * (3 - axis))
    high = (low + 1).clamp(max=have.size - 1)
    return torch.lerp(
        map_BChw.index_select(axis, low - have.start), map_BChw.index_select(axis, high - have.start), fraction
    )
