"""A stage's committed frames, one by one: a stage that asks for them by number holds no more than it works on."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from tasks.plan import Run

READ_AT_ONCE = 2
BLOCKS_HELD = 2
"""So that walks in both directions of time read every frame once."""


class Stored(Sequence[NDArray[Any]]):
    """Frames (or pairs) as a sequence that counts from the first of them.

    unpack: makes what is asked for of what is stored, each time that it is asked for.
    """

    def __init__(
        self,
        read: Callable[[FrameRange], NDArray[Any]],
        frames: FrameRange,
        unpack: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray,
    ) -> None:
        self._read, self._unpack = read, unpack
        self._tiles = frames.tiles(READ_AT_ONCE)
        self._length = len(frames)
        self._blocks: dict[int, NDArray[Any]] = {}

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._length:
            raise IndexError(index)
        block = index // READ_AT_ONCE
        if block not in self._blocks:
            if len(self._blocks) == BLOCKS_HELD:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[block] = self._read(self._tiles[block].core)
        return self._unpack(self._blocks[block][index % READ_AT_ONCE])


def each_frame(run: Run, stage: str, frames: FrameRange) -> Stored:
    """Pictures as they were stored, (H, W, C)."""
    return Stored(lambda some: run.store.read(run.plan[stage].key, some), frames)
