"""What a region of interest costs in quality and spares in time, by how much context it takes in around the holes.

    python -m benchmarks.bench_roi --clip FOLDER_OR_VIDEO [--frames 40]

The completion task of `propainter.metrics` with the classical engine, stage by stage, on the whole frame and on regions
of it: hole PSNR, the share of the frame that is worked on, processor seconds per frame, which hardly depend on what
else the machine does. A clip larger than 432x240 is also filled at that size and scaled back, as one does with a frame
that is too large. Still and moving holes are those of 432x240, scaled to the clip; a crossing one is a box of 80x60
that goes 3 pixels a frame from the left edge to the right one and back. Where the hole moves, a region that stands
still is set against one that pans with it.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.core.geometry import Crop, Geometry, Pan
from propainter.core.region import region_following
from propainter.media.resize import resize_frames
from propainter.media.source import open_source
from propainter.metrics.completion_task import (
    BOX_HEIGHT_PX,
    BOX_WIDTH_PX,
    REFERENCE_HEIGHT_PX,
    REFERENCE_WIDTH_PX,
    draw_holes,
)
from propainter.metrics.psnr import psnr_db, squared_error
from propainter.models.classical.membrane import hole_box
from propainter.stages.complete_flow import complete_flow
from propainter.stages.estimate_flow import estimate_flow
from propainter.stages.propagate_pixels import propagate_pixels
from propainter.stages.refine_frames import refine_frames

CONTEXTS = [0, 1 / 32, 1 / 16, 1 / 8, 3 / 16, 1 / 4]
MOTIONS = ("still", "moving", "crossing")
CROSSING_PX = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True, help="folder of images or video")
    parser.add_argument("--frames", type=int, default=40, help="at most this many, from the first one on")
    parser.add_argument("--contexts", type=float, nargs="+", default=CONTEXTS, help="shares of the longer side")
    parser.add_argument("--motions", choices=MOTIONS, nargs="+", default=MOTIONS)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    frames = read_clip(options.clip, options.frames)
    height, width = frames.shape[1:3]
    print(f"{options.clip.name}: {len(frames)} frames of {width}x{height}")
    print("| hole | region | context | size | share | hole PSNR dB | against whole | s/frame | times as fast |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for motion in options.motions:
        hole = holes_of(motion, len(frames), height, width)
        whole_db, whole_s = score(frames, hole, Crop(top_px=0, left_px=0, height_px=height, width_px=width))
        row(motion, "whole frame", "", f"{width}x{height}", 1.0, whole_db, 0.0, whole_s, 1.0)
        if width > REFERENCE_WIDTH_PX and height > REFERENCE_HEIGHT_PX:
            hole_db, seconds = score_scaled(frames, hole)
            size = f"{REFERENCE_WIDTH_PX}x{REFERENCE_HEIGHT_PX}"
            row(motion, "scaled frame", "", size, 1.0, hole_db, hole_db - whole_db, seconds, whole_s / seconds)
        for context in options.contexts:
            for name, crop in regions(hole, context).items():
                share = crop.height_px * crop.width_px / (height * width)
                hole_db, seconds = score(frames, hole, crop)
                size = f"{crop.width_px}x{crop.height_px}"
                more_db, fast = hole_db - whole_db, whole_s / seconds
                row(motion, name, f"{context:.3f}", size, share, hole_db, more_db, seconds, fast)


def holes_of(motion: str, frames: int, height_px: int, width_px: int) -> NDArray[np.bool_]:
    if motion != "crossing":
        return draw_holes("still" if motion == "still" else "moving", FrameRange(0, frames), height_px, width_px)
    holes = np.zeros((frames, height_px, width_px), np.bool_)
    limit_px, top_px = width_px - BOX_WIDTH_PX, height_px // 3
    for frame, hole in enumerate(holes):
        way_px = CROSSING_PX * frame % (2 * limit_px)
        left_px = min(way_px, 2 * limit_px - way_px)
        hole[top_px : top_px + BOX_HEIGHT_PX, left_px : left_px + BOX_WIDTH_PX] = True
    return holes


def regions(hole: NDArray[np.bool_], context: float) -> dict[str, Crop | Pan]:
    """One box for all frames, if one holds the holes, and the one that pans with them, if they move enough."""
    height_px, width_px = hole.shape[1:]
    found: dict[str, Crop | Pan] = {}
    for name, holes in (("one box", hole.any(axis=0)[None]), ("panning", hole)):
        boxes = np.array([[(side.start, side.stop) for side in hole_box(each)] for each in holes])
        region = region_following(boxes, FrameRange(0, len(boxes)), height_px, width_px, context_share=context)
        if isinstance(region, Crop if name == "one box" else Pan):
            found[name] = region
    return found


def score(frames: NDArray[np.uint8], hole: NDArray[np.bool_], crop: Crop | Pan) -> tuple[float, float]:
    """Hole PSNR in dB, and processor seconds per frame of the four stages, decoding and encoding apart."""
    geometry = replace(Geometry.plan(*frames.shape[1:3]), crop=crop)
    boxes = [geometry.at(frame).box for frame in range(len(frames))]
    part = np.stack([frame[box] for frame, box in zip(frames, boxes, strict=True)])
    inside = np.stack([each[box] for each, box in zip(hole, boxes, strict=True)])
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
    result = np.stack([*refine_frames([*propagate_pixels(frames, hole, flow)])])
    return result, (time.process_time() - start_s) / len(frames)


def hole_psnr_db(result: NDArray[np.uint8], truth: NDArray[np.uint8], hole: NDArray[np.bool_]) -> float:
    error, values = squared_error(result, truth, hole)
    return float(psnr_db(error.sum(), values.sum()))


def row(
    motion: str, name: str, context: str, size: str, share: float, hole_db: float, more_db: float, s: float, fast: float
) -> None:
    figures = f"{share:.2f} | {hole_db:.2f} | {more_db:+.2f} | {s:.3f} | {fast:.1f}"
    print(f"| {motion} | {name} | {context} | {size} | {figures} |", flush=True)


def read_clip(path: Path, frames: int) -> NDArray[np.uint8]:
    with open_source(path) as source:
        return source.read(FrameRange(0, min(frames, source.info.frames)))


if __name__ == "__main__":
    main()
