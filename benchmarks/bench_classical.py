"""The classical engine on the completion task: how near it comes to what a hole hides, and what it costs by stage.

A clip without holes is given holes (80x60 pixels, still or drifting 1.5 px a frame), so the truth is known. `--clip`
takes a folder of images; without it a textured plane is drawn under a panning camera.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.stages.complete_flow import complete_flow
from propainter.stages.estimate_flow import estimate_flow
from propainter.stages.propagate_pixels import propagate_pixels
from propainter.stages.refine_frames import refine_frames

SEGMENT_FRAMES, CONTEXT_FRAMES = 80, 10
HOLE_WIDTH_PX, HOLE_HEIGHT_PX = 80, 60
DRIFTS_PX = {"still": 0.0, "moving": 1.5}
ENGINES = "classical", "propainter"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, help="folder of images; default: a clip that is drawn")
    clip: Path | None = parser.parse_args().clip
    frames = read_folder(clip) if clip else draw_pan()
    print(f"{clip.name if clip else 'drawn pan'}: {len(frames)} frames of {frames.shape[2]}x{frames.shape[1]}")
    flow, flow_s = timed(lambda: estimate_flow(frames))
    print("propagation hole   frame dB  hole dB  left %   s/frame: flow complete propagate refine")
    for engine in ENGINES:
        for name, drift_px in DRIFTS_PX.items():
            hole = drifting_hole(frames.shape[:3], drift_px)
            completed, complete_s = timed(lambda hole=hole: complete_flow(flow, hole))
            packed, propagate_s = timed(
                lambda hole=hole, completed=completed, engine=engine: propagate(frames, hole, completed, engine)
            )
            result, refine_s = timed(lambda packed=packed: refine_frames(packed))
            frame_db, hole_db = psnr_db(result, frames, hole)
            left = 100 * (packed[..., 3] != 0).sum() / hole.sum()
            seconds = " ".join(f"{s / len(frames):.4f}" for s in (flow_s, complete_s, propagate_s, refine_s))
            print(f"{engine:11} {name:7} {frame_db:7.2f} {hole_db:8.2f} {left:7.1f}   {seconds}")


def timed(work: Callable[[], NDArray[Any]]) -> tuple[NDArray[Any], float]:
    start_s = time.perf_counter()
    return work(), time.perf_counter() - start_s


def propagate(
    frames: NDArray[np.uint8], hole: NDArray[np.bool_], flow: NDArray[np.float32], engine: str
) -> NDArray[np.uint8]:
    """By segments with context, as the pipeline runs it."""
    pieces = []
    for tile in FrameRange(0, len(frames)).tiles(SEGMENT_FRAMES, CONTEXT_FRAMES):
        start, stop = tile.window.start, tile.window.stop
        packed = propagate_pixels(frames[start:stop], hole[start:stop], flow[start : stop - 1], engine=engine)
        pieces.append(packed[tile.crop])
    return np.concatenate(pieces)


def read_folder(folder: Path) -> NDArray[np.uint8]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    return np.stack([cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths])


def draw_pan(count: int = 60, height_px: int = 240, width_px: int = 432, step_px: float = 2.3) -> NDArray[np.uint8]:
    random = np.random.default_rng(7)
    plane = np.full((height_px, width_px + int(count * step_px), 3), 128, np.float32)
    for size_px, gain in ((3, 12), (9, 25), (40, 50)):
        coarse = random.normal(size=(height_px // size_px + 2, plane.shape[1] // size_px + 2, 3)).astype(np.float32)
        plane += gain * cv2.resize(coarse, (plane.shape[1], height_px), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(plane, 0, 255).astype(np.uint8)
    shifts = (np.array([[1, 0, -step_px * t], [0, 1, 0]]) for t in range(count))
    return np.stack([cv2.warpAffine(picture, shift, (width_px, height_px)) for shift in shifts])


def drifting_hole(shape: tuple[int, ...], drift_px: float) -> NDArray[np.bool_]:
    count, height, width = shape
    hole = np.zeros(shape, np.bool_)
    top = height // 3
    for t in range(count):
        left = min(int(0.3 * width + drift_px * t), width - HOLE_WIDTH_PX)
        hole[t, top : top + HOLE_HEIGHT_PX, left : left + HOLE_WIDTH_PX] = True
    return hole


def psnr_db(result: NDArray[np.uint8], truth: NDArray[np.uint8], hole: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean over frames of the whole frame's, and that of all hole pixels together."""
    error = np.square(result.astype(np.float32) - truth)
    per_frame = 10 * np.log10(255**2 / np.maximum(error.mean(axis=(1, 2, 3)), 1e-4))
    return float(per_frame.mean()), float(10 * np.log10(255**2 / max(error[hole].mean(), 1e-4)))


if __name__ == "__main__":
    main()
