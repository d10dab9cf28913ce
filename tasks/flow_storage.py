"""Between the flow that stages compute with and the flow that the store keeps."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache.layout import dequantise_flow, quantise_flow
from propainter.core.frames import FrameRange
from propainter.core.settings import Storage
from tasks.plan import Run

READ_PAIRS = 4


def flow_type(storage: Storage) -> str:
    """The part of the storage that changes numbers: compression does not."""
    return "float32" if storage == "exact" else "int16"


def to_storage(flow: NDArray[np.float32], storage: Storage) -> NDArray[Any]:
    return flow if storage == "exact" else quantise_flow(flow)


def read_flow(run: Run, stage: str, pairs: FrameRange) -> NDArray[np.float32]:
    """Flow of these pairs in pixels, (T-1, 2, 2, H, W)."""
    return dequantise_flow(run.store.read(run.plan[stage].key, pairs))


def each_pair(run: Run, stage: str, pairs: FrameRange) -> Iterator[NDArray[np.float32]]:
    """The same pair by pair, (2, 2, H, W), a few in memory at a time."""
    for tile in pairs.tiles(READ_PAIRS):
        yield from read_flow(run, stage, tile.core)
