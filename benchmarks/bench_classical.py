"""The classical engine on the completion task: how near it comes to what a hole hides, and what it costs by stage.

    python -m benchmarks.bench_classical [--clip FOLDER_OR_VIDEO] [--start 0] [--frames 80] [--mask MASK]

The completion task of `propainter.metrics`: a clip without holes is given holes, so the truth is known: those of a mask
(dilated, as `propainter inpaint` does) or drawn ones. Without a clip a textured plane is drawn under a panning camera.
Times are processor seconds on one thread, which hardly depend on what else the machine does; frames/s is what one core
would do of the four stages.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.core.geometry import Crop, Geometry
from propainter.core.settings import Masks
from propainter.media.masks import open_masks
from propainter.media.source import open_source
from propainter.metrics.completion_task import HoleMotion, draw_holes
from propainter.metrics.psnr import psnr_db, squared_error
from propainter.stages.complete_flow import complete_flow
from propainter.stages.estimate_flow import estimate_flow
from propainter.stages.propagate_pixels import propagate_pixels
from propainter.stages.refine_frames import refine_frames

SEGMENT_FRAMES, CONTEXT_FRAMES = 80, 10
MOTIONS: tuple[HoleMotion, ...] = ("still", "moving")
ENGINES = "classical", "propainter"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="folder of images or video; default: a clip that is drawn")
    parser.add_argument("--start", type=int, default=0, help="frame of the clip to begin with")
    parser.add_argument("--frames", type=int, default=80, help="of the clip at most this many")
    parser.add_argument("--mask", type=Path, help="of the clip; default: a hole that stands still, and one that moves")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    clip: Path | None = options.clip
    frames, hole = read_clip(clip, options.start, options.frames, options.mask) if clip else (draw_pan(), None)
    holes = drawn_holes(frames) if hole is None else {"mask": hole}
    print(f"{clip.name if clip else 'drawn pan'}: {len(frames)} frames of {frames.shape[2]}x{frames.shape[1]}")
    flow, flow_s = timed(lambda: estimate_flow(frames))
    print("propagation hole   frame dB  hole dB  left %   s/frame: flow complete propagate refine   frames/s")
    for engine in ENGINES:
        for name, hole in holes.items():
            completed, complete_s = timed(lambda hole=hole: complete_flow(flow, hole))
            packed, propagate_s = timed(
                lambda hole=hole, completed=completed, engine=engine: propagate(frames, hole, completed, engine)
            )
            result, refine_s = timed(lambda packed=packed: np.stack([*refine_frames(packed)]))
            frame_db = psnr_db(*squared_error(result, frames)).mean()
            error, values = squared_error(result, frames, hole)
            hole_db = psnr_db(error.sum(), values.sum())
            left = 100 * (packed[..., 3] != 0).sum() / hole.sum()
            stages_s = flow_s, complete_s, propagate_s, refine_s
            seconds = " ".join(f"{s / len(frames):.4f}" for s in stages_s)
            rate = len(frames) / sum(stages_s)
            print(f"{engine:11} {name:7} {frame_db:7.2f} {hole_db:8.2f} {left:7.1f}   {seconds}   {rate:.1f}")


def timed(work: Callable[[], NDArray[Any]]) -> tuple[NDArray[Any], float]:
    start_s = time.process_time()
    return work(), time.process_time() - start_s


def propagate(
    frames: NDArray[np.uint8], hole: NDArray[np.bool_], flow: NDArray[np.float32], engine: str
) -> NDArray[np.uint8]:
    """By segments with context, as the pipeline runs it."""
    pieces: list[NDArray[np.uint8]] = []
    for tile in FrameRange(0, len(frames)).tiles(SEGMENT_FRAMES, CONTEXT_FRAMES):
        start, stop = tile.window.start, tile.window.stop
        pieces.extend(
            propagate_pixels(frames[start:stop], hole[start:stop], flow[start : stop - 1], tile.crop, engine=engine)
        )
    return np.stack(pieces)


def read_clip(
    path: Path, start: int, count: int, mask: Path | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    with open_source(path) as source:
        part = FrameRange(start, min(start + count, source.info.frames))
        frames = source.read(part)
        if mask is None:
            return frames, None
        height_px, width_px = frames.shape[1:3]
        whole = Crop(top_px=0, left_px=0, height_px=height_px, width_px=width_px)
        geometry = replace(Geometry.plan(height_px, width_px), crop=whole)
        return frames, open_masks(mask, source.info, Masks()).read(part, geometry)


def drawn_holes(frames: NDArray[np.uint8]) -> dict[str, NDArray[np.bool_]]:
    return {motion: draw_holes(motion, FrameRange(0, len(frames)), *frames.shape[1:3]) for motion in MOTIONS}


def draw_pan(count: int = 60, height_px: int = 240, width_px: int = 432, step_px: float = 2.3) -> NDArray[np.uint8]:
    random = np.random.default_rng(7)
    plane = np.full((height_px, width_px + int(count * step_px), 3), 128, np.float32)
    for size_px, gain in ((3, 12), (9, 25), (40, 50)):
        coarse = random.normal(size=(height_px // size_px + 2, plane.shape[1] // size_px + 2, 3)).astype(np.float32)
        plane += gain * cv2.resize(coarse, (plane.shape[1], height_px), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(plane, 0, 255).astype(np.uint8)
    shifts = (np.array([[1, 0, -step_px * t], [0, 1, 0]]) for t in range(count))
    return np.stack([cv2.warpAffine(picture, shift, (width_px, height_px)) for shift in shifts])


if __name__ == "__main__":
    main()
