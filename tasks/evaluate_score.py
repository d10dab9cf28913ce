"""A clip's result scored against its truth.

Frames pass in small tiles, so that a film takes no more memory than a clip; features for VFID alone take all at once.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from propainter.core.errors import MediaError
from propainter.core.frames import FrameRange
from propainter.media.source import VideoSource, open_source
from propainter.metrics.e_warp import e_warp
from propainter.metrics.psnr import psnr_db, squared_error
from propainter.metrics.scores import FrameScores, joined
from propainter.metrics.ssim import ssim
from propainter.metrics.vfid import clip_features, load_i3d
from propainter.stages.estimate_flow import estimate_flow
from tasks.evaluate_media import ReadHoles, given_holes, scaled

TILE_FRAMES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredClip:
    """features: of the result and of the truth, (F,) each; None where no network was given."""

    scores: FrameScores
    features: tuple[NDArray[np.float64], NDArray[np.float64]] | None


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="score {name}")
def score_clip(
    name: str, truth: Path, result: Path, masks: Path | None, ssim_window_px: int, i3d: Path | None
) -> ScoredClip:
    """Figures of one result. Truth and masks of another size are scaled to it.

    Raises:
        MediaError: the result has another number of frames than the truth.
    """
    with open_source(result) as made, open_source(truth) as known:
        frames, height_px, width_px = made.info.frames, made.info.height_px, made.info.width_px
        if frames != known.info.frames:
            raise MediaError(f"{result} has {frames} frames, the truth {known.info.frames}. Give all of the clip.")
        read_holes = None if masks is None else given_holes(masks, known.info, height_px, width_px)
        scores = [
            _score_tile(filled, scaled(true, height_px, width_px), core, read_holes, ssim_window_px)
            for (core, filled), (_, true) in zip(_tiles(made), _tiles(known), strict=True)
        ]
        features = None
        if i3d is not None:
            network, whole = _network(i3d), FrameRange(0, frames)
            features = (
                clip_features(network, made.read(whole)),
                clip_features(network, scaled(known.read(whole), height_px, width_px)),
            )
    return ScoredClip(scores=joined(scores), features=features)


def _tiles(source: VideoSource) -> Iterator[tuple[FrameRange, NDArray[np.uint8]]]:
    """Frames by tiles, each led by the last frame of the one before: no pair is lost and nothing is decoded twice."""
    last = np.empty((0, source.info.height_px, source.info.width_px, 3), np.uint8)
    for tile in FrameRange(0, source.info.frames).tiles(TILE_FRAMES):
        frames = np.concatenate([last, source.read(tile.core)])
        yield tile.core, frames
        last = frames[-1:]


def _score_tile(
    result: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    core: FrameRange,
    read_holes: ReadHoles | None,
    ssim_window_px: int,
) -> FrameScores:
    """Figures of the frames of core, and of the pairs that end in it: the arrays may have a frame more before it."""
    filled, known = result[-len(core) :], truth[-len(core) :]
    holes = np.zeros(known.shape[:3], np.bool_) if read_holes is None else read_holes(core)
    hole_error, hole_values = squared_error(filled, known, holes)
    return FrameScores(
        psnr_db=psnr_db(*squared_error(filled, known)),
        ssim=ssim(filled, known, ssim_window_px),
        hole_error=hole_error,
        hole_values=hole_values,
        e_warp=e_warp(result, estimate_flow(truth)),
    )


_loading = threading.Lock()


def _network(path: Path) -> torch.nn.Module:
    with _loading:
        return _loaded(path)


@lru_cache(maxsize=1)
def _loaded(path: Path) -> torch.nn.Module:
    return load_i3d(path)
