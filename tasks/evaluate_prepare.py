"""A clip made ready for an engine: frames and test masks of one size."""

import shutil
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from propainter.core.frames import FrameRange
from propainter.media.folder import write_images
from propainter.media.source import open_source
from propainter.metrics.completion_task import HoleMotion, draw_holes
from tasks.evaluate_inputs import EvaluatedClip
from tasks.evaluate_media import ReadHoles, given_holes, scaled

TILE_FRAMES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnHoles:
    """Holes to draw where no masks are given. seed None: the one box that all clips get."""

    motion: HoleMotion
    seed: int | None

    def __str__(self) -> str:
        return f"{self.motion} holes" if self.seed is None else f"{self.motion} holes of seed {self.seed}"

    def of(self, clip: str, height_px: int, width_px: int, frames: FrameRange) -> NDArray[np.bool_]:
        seed = None if self.seed is None else zlib.crc32(f"{self.seed} {clip}".encode(errors="surrogateescape"))
        return draw_holes(self.motion, frames, height_px, width_px, seed=seed)


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="prepare {clip.name}")
def prepare_clip(
    clip: EvaluatedClip, folder: Path, size_px: tuple[int, int] | None, holes: DrawnHoles
) -> tuple[Path, Path]:
    """What an engine is given: frames and masks, both of one size.

    Args:
        size_px: (height, width) to work at; None: the clip's own.

    Returns:
        The video, which is the truth itself where that has the size, and the folder of masks below `folder`.
    """
    with open_source(clip.truth) as truth:
        height_px, width_px = size_px or (truth.info.height_px, truth.info.width_px)
        if clip.masks is None:
            read_holes: ReadHoles = partial(holes.of, clip.name, height_px, width_px)
        else:
            read_holes = given_holes(clip.masks, truth.info, height_px, width_px)
        masks, frames = _emptied(folder / "masks"), folder / "frames"
        resizes = (height_px, width_px) != (truth.info.height_px, truth.info.width_px)
        if resizes:
            _emptied(frames)
        for tile in FrameRange(0, truth.info.frames).tiles(TILE_FRAMES):
            write_images(masks, read_holes(tile.core), first=tile.core.start)
            if resizes:
                pictures = scaled(truth.read(tile.core), height_px, width_px)
                write_images(frames, pictures, first=tile.core.start)
    return frames if resizes else clip.truth, masks


def _emptied(folder: Path) -> Path:
    """A folder without what an earlier run left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
