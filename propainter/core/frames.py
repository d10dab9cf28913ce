"""Half-open ranges of frames, and the one way to cut them into segments with context.

Every loop over segments in this project goes through `FrameRange.tiles`, so that a margin is written down once.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from propainter.core.errors import ShapeError


@dataclass(frozen=True, slots=True, order=True)
class FrameRange:
    """Frames start, start + 1, ..., stop - 1."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise ShapeError(f"frame range {self.start}:{self.stop} is not valid. Give 0 <= start <= stop.")

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop))

    def __str__(self) -> str:
        return f"{self.start}:{self.stop}"

    def clip(self, other: "FrameRange") -> "FrameRange":
        """The part of this range that lies in other; empty, at other's nearer end, where they do not meet."""
        start = min(max(self.start, other.start), other.stop)
        return FrameRange(start, max(start, min(self.stop, other.stop)))

    def grow(self, context: int, limit: "FrameRange") -> "FrameRange":
        """This range with context on both sides, as far as limit reaches."""
        return FrameRange(max(self.start - context, limit.start), min(self.stop + context, limit.stop))

    def slice_in(self, outer: "FrameRange") -> slice:
        """Where this range lies in an array that holds outer."""
        if not (outer.start <= self.start and self.stop <= outer.stop):
            raise ShapeError(f"frames {self} do not lie in {outer}.")
        return slice(self.start - outer.start, self.stop - outer.start)

    def tiles(self, size: int, context: int = 0, shots: Sequence["FrameRange"] = ()) -> tuple["Tile", ...]:
        """Cut into tiles of `size` frames (the last may be shorter), each with up to `context` frames on both sides.

        Args:
            shots: parts of this range, in order, that must not see one another; a tile that lies in several is done
                in as many parts. None given: all of it is one.

        Raises:
            ShapeError: size is under 1 or context is negative.
        """
        if size < 1 or context < 0:
            raise ShapeError(f"tiles of {size} frames with {context} of context are not possible.")
        cores = (FrameRange(start, min(start + size, self.stop)) for start in range(self.start, self.stop, size))
        return tuple(_tile(index, core, context, shots or (self,)) for index, core in enumerate(cores))


@dataclass(frozen=True, slots=True)
class Tile:
    """One segment: the frames it answers for (core) and the frames it must see to do so (window).

    parts: what of it lies in one shot each, to be done one by one; itself alone where core is all in one shot.
    """

    index: int
    core: FrameRange
    window: FrameRange
    cut_into: tuple["Tile", ...] = ()

    @property
    def parts(self) -> tuple["Tile", ...]:
        return self.cut_into or (self,)

    @property
    def crop(self) -> slice:
        """Where core lies in an array that holds window."""
        return self.core.slice_in(self.window)


def part_by_part(tile: Tile, compute: Callable[[Tile], NDArray[Any]]) -> NDArray[Any]:
    """What compute gives for the cores of a tile's parts, as one array; zeros where no part is, as across a cut."""
    if not tile.cut_into:
        return compute(tile)
    pieces = [(part.core.slice_in(tile.core), compute(part)) for part in tile.cut_into]
    whole = np.zeros((len(tile.core), *pieces[0][1].shape[1:]), pieces[0][1].dtype)
    for place, piece in pieces:
        whole[place] = piece
    return whole


def _tile(index: int, core: FrameRange, context: int, shots: Sequence[FrameRange]) -> Tile:
    nearest = max(bisect_right(shots, core.start, key=lambda shot: shot.start) - 1, 0)
    meeting = takewhile(lambda shot: shot.start < core.stop, shots[nearest:])
    inside = [(core.clip(shot), shot) for shot in meeting if len(core.clip(shot))]
    parts = tuple(Tile(index=index, core=part, window=part.grow(context, shot)) for part, shot in inside)
    if not parts:
        return Tile(index=index, core=core, window=core)
    if parts[0].core == core:
        return parts[0]
    window = FrameRange(min(core.start, parts[0].window.start), max(core.stop, parts[-1].window.stop))
    return Tile(index=index, core=core, window=window, cut_into=parts)


def tiles_reaching(frames: FrameRange, size: int) -> range:
    """Indices of the tiles of `size` frames, counted from 0, that hold any of `frames`."""
    return range(frames.start // size, -(-frames.stop // size) if len(frames) else frames.start // size)
