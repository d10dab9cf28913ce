"""What a region of interest costs in quality and spares in time, by how much context it takes in around the holes.

    python -m benchmarks.bench_roi --clip FOLDER_OR_VIDEO [--frames 40]

The completion task of `propainter.metrics` with the classical engine, stage by stage, on the whole frame and on regions
of it: hole PSNR, the share of the frame that is worked on, processor seconds per frame, which hardly depend on what
else the machine does. A clip larger than 432x240 is also filled at that size and scaled back, as one does with a frame
that is too large. Holes are those of 432x240, scaled to the clip.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.core.geometry import Crop
from propainter.core.region import region_around
from propainter.media.resize import resize_frames
from propainter.media.source import open_source
from propainter.metrics.completion_task import REFERENCE_HEIGHT_PX, REFERENCE_WIDTH_PX, HoleMotion, draw_holes
from propainter.metrics.psnr import psnr_db, squared_error
from propainter.models.classical.membrane import hole_box
from propainter.stages.complete_flow import complete_flow
from propainter.stages.estimate_flow import estimate_flow
from propainter.stages.propagate_pixels import propagate_pixels
from propainter.stages.refine_frames import refine_frames

CONTEXTS = [0, 1 / 32, 1 / 16, 1 / 8, 3 / 16, 1 / 4]
MOTIONS: tuple[HoleMotion, ...] = ("still", "moving")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True, help="folder of images or video")
    parser.add_argument("--frames", type=int, default=40, help="at most this many, from the first one on")
    parser.add_argument("--contexts", type=float, nargs="+", default=CONTEXTS, help="shares of the longer side")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    frames = read_clip(options.clip, options.frames)
    height, width = frames.shape[1:3]
    print(f"{options.clip.name}: {len(frames)} frames of {width}x{height}")
    print("| hole | context | region | share of frame | hole PSNR dB | against whole | s/frame | times as fast |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for motion in MOTIONS:
        hole = draw_holes(motion, FrameRange(0, len(frames)), height, width)
        whole_db, whole_s = score(frames, hole, Crop(top_px=0, left_px=0, height_px=height, width_px=width))
        row(motion, "whole frame", f"{width}x{height}", 1.0, whole_db, 0.0, whole_s, 1.0)
        if width > REFERENCE_WIDTH_PX and height > REFERENCE_HEIGHT_PX:
            hole_db, seconds = score_scaled(frames, hole)
            size = f"{REFERENCE_WIDTH_PX}x{REFERENCE_HEIGHT_PX}"
            row(motion, "scaled frame", size, 1.0, hole_db, hole_db - whole_db, seconds, whole_s / seconds)
        for context in options.contexts:
            crop = region_around(hole_box(np.asarray(hole.any(axis=0))), height, width, context)
            if crop is None:
                continue
            share = crop.height_px * crop.width_px / (height * width)
            hole_db, seconds = score(frames, hole, crop)
            size = f"{crop.width_px}x{crop.height_px}"
            row(motion, f"{context:.3f}", size, share, hole_db, hole_db - whole_db, seconds, whole_s / seconds)


def score(frames: NDArray[np.uint8], hole: NDArray[np.bool_], crop: Crop) -> tuple[float, float]:
    """Hole PSNR in dB, and processor seconds per frame of the four stages, decoding and encoding apart."""
    part, inside = np.ascontiguousarray(frames[:, *crop.box]), np.ascontiguousarray(hole[:, *crop.box])
    result, seconds = fill(part, inside)
    return hole_psnr_db(result, part, inside), seconds


def score_scaled(frames: NDArray[np.uint8], hole: NDArray[np.bool_]) -> tuple[float, float]:
    """As `score`, for the whole frame filled at 432x240 and scaled back."""
    small = (REFERENCE_WIDTH_PX, REFERENCE_HEIGHT_PX)
    touched = np.stack([cv2.resize(each.astype(np.float32), small, interpolation=cv2.INTER_AREA) for each in hole]) > 0
    result, seconds = fill(resize_frames(frames, REFERENCE_HEIGHT_PX, REFERENCE_WIDTH_PX), touched)
    return hole_psnr_db(resize_frames(result, *frames.shape[1:3]), frames, hole), seconds


def fill(frames: NDArray[np.uint8], hole: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], float]:
    start_s = time.process_time()
    flow = complete_flow(estimate_flow(frames), hole)
    result = refine_frames(propagate_pixels(frames, hole, flow))
    return result, (time.process_time() - start_s) / len(frames)


def hole_psnr_db(result: NDArray[np.uint8], truth: NDArray[np.uint8], hole: NDArray[np.bool_]) -> float:
    error, values = squared_error(result, truth, hole)
    return float(psnr_db(error.sum(), values.sum()))


def row(
    motion: str, context: str, size: str, share: float, hole_db: float, more_db: float, s: float, fast: float
) -> None:
    print(
        f"| {motion} | {context} | {size} | {share:.2f} | {hole_db:.2f} | {more_db:+.2f} | {s:.3f} | {fast:.1f} |",
        flush=True,
    )


def read_clip(path: Path, frames: int) -> NDArray[np.uint8]:
    with open_source(path) as source:
        return source.read(FrameRange(0, min(frames, source.info.frames)))


if __name__ == "__main__":
    main()
