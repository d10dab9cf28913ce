"""Open videos and masks, kept from task to task of one process: opening costs a pass over the file's index."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.core.settings import Masks
from propainter.media.masks import MaskSource, open_masks
from propainter.media.source import VideoInfo, VideoSource, open_source
from tasks.plan import Inputs, Run


@contextmanager
def video_for(stage: str, run: Run) -> Iterator[VideoSource]:
    """The run's video for one thread at a time; each stage its own, so that it decodes straight on."""
    source, lock = _open_video(stage, run.inputs.info, run.inputs.content_digest, run.settings.extract_frames.save_fps)
    with lock:
        yield source


def read_holes(run: Run, frames: FrameRange) -> NDArray[np.bool_]:
    """Dilated holes at processing size, (T, H, W), of frames counted from the first one asked for."""
    masks, lock = _open_masks(run.inputs, run.settings.masks)
    with lock:
        return masks.read(run.inputs.in_source(frames), run.inputs.geometry)


@lru_cache(maxsize=4)
def _open_video(
    stage: str, info: VideoInfo, content_digest: str, save_fps: float
) -> tuple[VideoSource, threading.Lock]:
    return open_source(info.path, save_fps=save_fps), threading.Lock()


@lru_cache(maxsize=2)
def _open_masks(inputs: Inputs, masks: Masks) -> tuple[MaskSource, threading.Lock]:
    return open_masks(inputs.mask, inputs.info, masks), threading.Lock()
