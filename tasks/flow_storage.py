"""Between the flow that stages compute with and the flow that the store keeps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache.layout import dequantise_flow, quantise_flow
from propainter.core.frames import FrameRange
from propainter.core.settings import Storage
from tasks.plan import Run


def to_storage(flow: NDArray[np.float32], storage: Storage) -> NDArray[Any]:
    return flow if storage == "exact" else quantise_flow(flow)


def read_flow(run: Run, stage: str, pairs: FrameRange) -> NDArray[np.float32]:
    """Flow of these pairs in pixels, (T-1, 2, 2, H, W); none for a single frame."""
    if not len(pairs):
        return np.zeros((0, 2, 2, run.inputs.geometry.height_px, run.inputs.geometry.width_px), np.float32)
    return dequantise_flow(run.store.read(run.plan[stage].key, pairs))
