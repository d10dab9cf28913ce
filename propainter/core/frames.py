"""Half-open ranges of frames, and the one way to cut them into segments with context.

Every loop over segments in this project goes through `FrameRange.tiles`, so that a margin is written down once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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

    def tiles(self, size: int, context: int = 0) -> tuple["Tile", ...]:
        """Cut into tiles of `size` frames (the last may be shorter), each with up to `context` frames on both sides.

        Raises:
            ShapeError: size is under 1 or context is negative.
        """
        if size < 1 or context < 0:
            raise ShapeError(f"tiles of {size} frames with {context} of context are not possible.")
        cores = (FrameRange(start, min(start + size, self.stop)) for start in range(self.start, self.stop, size))
        return tuple(Tile(index=index, core=core, window=core.grow(context, self)) for index, core in enumerate(cores))


@dataclass(frozen=True, slots=True)
class Tile:
    """One segment: the frames it answers for (core) and the frames it must see to do so (window)."""

    index: int
    core: FrameRange
    window: FrameRange

    @property
    def crop(self) -> slice:
        """Where core lies in an array that holds window."""
        return self.core.slice_in(self.window)


def tiles_reaching(frames: FrameRange, size: int) -> range:
    """Indices of the tiles of `size` frames, counted from 0, that hold any of `frames`."""
    return range(frames.start // size, -(-frames.stop // size) if len(frames) else frames.start // size)
