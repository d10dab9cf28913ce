"""How far half precision is from fp32, on the clips and the synthetic weights of the golden tests.

    python -m benchmarks.bench_precision [--device cpu] [--frames 12]

Prints, per clip and precision, the flow's difference in pixels and that of the composited hole in grey levels: half
precision of everything but the flow network, and of both; on a CPU also int8 in the generator's attention. Last, the
time of refinement as a share of that in fp32. A device without such arithmetic emulates it. Synthetic
weights amplify less than trained ones: the figures compare precisions, they are no promise.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.models.checkpoints import FLOW_COMPLETION, GENERATOR, RAFT
from propainter.models.flow_completion import FlowCompletion
from propainter.models.generator.int8 import use_int8
from propainter.models.generator.network import Generator
from propainter.models.raft.network import Raft
from propainter.ops.windows import refinement_windows
from propainter.stages.complete_flow import complete_flow
from propainter.stages.estimate_flow import estimate_flow
from propainter.stages.propagate_pixels import propagate_pixels
from propainter.stages.refine_frames import refine_frames_in_windows

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
sys.path.insert(0, str(GOLDEN))
from synthetic_networks import with_synthetic_weights  # noqa: E402

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "int8": torch.float32}
WIDTHS = (8, 10, 16, 14, 14, 14, 14, 14, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", type=int, default=12)
    options = parser.parse_args()
    row(
        "clip",
        "flow in",
        "the rest in",
        "flow, mean px",
        "flow, max px",
        "hole, mean",
        "hole, max",
        "hole PSNR, dB",
        "time of refining",
    )
    cases = [("fp32", "fp16"), ("fp16", "fp16"), ("fp32", "bf16"), ("bf16", "bf16")]
    if options.device == "cpu":
        cases.append(("fp32", "int8"))
    for clip in ("clip_a", "clip_b"):
        frames, hole = read(clip, options.frames)
        expected = run(frames, hole, "fp32", "fp32", options.device)
        for flow_precision, precision in cases:
            flow, result, seconds = run(frames, hole, flow_precision, precision, options.device)
            flow_px = np.abs(flow - expected[0])
            levels = np.abs(result.astype(float) - expected[1])[hole]
            row(
                clip, flow_precision, precision, f"{flow_px.mean():.4f}", f"{flow_px.max():.3f}",
                f"{levels.mean():.3f}", f"{levels.max():.0f}", f"{10 * np.log10(255**2 / (levels**2).mean()):.1f}",
                f"{seconds / expected[2]:.2f}",
            )  # fmt: skip


def read(clip: str, frames: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """RGB (T, H, W, 3) and holes (T, H, W), dilated as the command does by default."""
    folder = GOLDEN / "data" / clip
    pictures = [cv2.imread(str(path))[..., ::-1] for path in sorted((folder / "frames").iterdir())[:frames]]
    masks = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted((folder / "masks").iterdir())[:frames]]
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    holes = np.stack([cv2.dilate((mask > 0).astype(np.uint8), cross, iterations=4) > 0 for mask in masks])
    high, wide = (side // 8 * 8 for side in holes.shape[1:])
    return np.stack(pictures)[:, :high, :wide], holes[:, :high, :wide]


def run(
    frames: NDArray[np.uint8], hole: NDArray[np.bool_], flow_precision: str, precision: str, device: str
) -> tuple[NDArray[np.float32], NDArray[np.uint8], float]:
    """Flow, frames with their holes filled, and the seconds that refinement took."""
    raft = with_synthetic_weights(RAFT.file_name, Raft()).to(device, DTYPES[flow_precision])
    completion = with_synthetic_weights(FLOW_COMPLETION.file_name, FlowCompletion()).to(device, DTYPES[precision])
    generator = with_synthetic_weights(GENERATOR.file_name, Generator()).to(device, DTYPES[precision])
    if precision == "int8":
        use_int8(generator)
    flow = estimate_flow(frames, raft)
    completed = complete_flow(flow, hole, completion)
    propagated = [*propagate_pixels(frames, hole, completed, engine="propainter", device=device)]
    windows, everything = refinement_windows(len(frames)), FrameRange(0, len(frames))
    started = time.perf_counter()
    refined = refine_frames_in_windows(propagated, hole, completed, windows, everything, generator)
    return flow, refined, time.perf_counter() - started


def row(*cells: str) -> None:
    print("".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=False)), flush=True)


if __name__ == "__main__":
    main()
