"""Between the flow that stages compute with and the flow that the store keeps."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache.layout import dequantise_flow, quantise_flow
from propainter.core.frames import FrameRange
from propainter.core.settings import Storage
from tasks.plan import Run
from tasks.stored import Stored

PAIRS_HELD = 6
"""Where they are computed one by one: that one, those waiting and those being encoded."""


def flow_type(storage: Storage) -> str:
    """The part of the storage that changes numbers: compression does not."""
    return "float32" if storage == "exact" else "int16"


def to_storage(flow: NDArray[np.float32], storage: Storage) -> NDArray[Any]:
    return flow if storage == "exact" else quantise_flow(flow)


def in_storage(
    pairs: FrameRange, compute: Callable[[FrameRange], NDArray[np.float32]], storage: Storage
) -> Iterator[NDArray[Any]]:
    """Flow of pairs that do not depend on one another, as the store keeps it; each is computed when it is asked for."""
    for pair in pairs.tiles(1):
        yield from to_storage(compute(pair.core), storage)


def each_pair(run: Run, stage: str, pairs: FrameRange) -> Stored:
    """Flow of these pairs in pixels, (2, 2, H, W) each."""
    return Stored(lambda some: run.store.read(run.plan[stage].key, some), pairs, dequantise_flow)
