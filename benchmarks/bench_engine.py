"""Seconds per frame and peak memory of the three networks, stage by stage, on a clip made here with random weights.

    python benchmarks/bench_engine.py [--frames 24] [--height 240] [--width 432] [--device cpu] [--precision fp32]

Needs the package propainter alone. Speed does not depend on what the weights are; the hole is a rectangle of a third of
either side that drifts. Beside it stand the released code's seconds for the same work (default size and settings, two
cores, float32), scaled by how fast this machine, just before and after each stage, runs the one convolution whose
speed is known of the machine they were taken on: a machine that is busy, or faster, compares fairly. Operations are
those counted on paper in docs/stages/propainter-engine.md; pace is how many of them were done in the time that the
convolution takes for one.
"""

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from propainter.models.flow_completion import FlowCompletion, complete
from propainter.models.generator.network import Generator
from propainter.models.generator.sequence import refine_windows
from propainter.models.raft.network import Raft, flow_both_ways
from propainter.ops.windows import Window, refinement_windows
from propainter.runtime.allocator import keep_freed_memory
from propainter.runtime.precision import exact_float32

RELEASED_S = {"estimate_flow": 97.0, "complete_flow": 14.0, "refine_frames": 115.0}
RELEASED_FRAMES, RELEASED_PIXELS = 24, 432 * 240
RELEASED_GFLOPS = 105.0

RAFT_GFLOP = {"frame": 28.2, "pair": 7.4, "iteration": 14.2}
COMPLETION_GFLOP = {"pair": 40.9}
REFINEMENT_GFLOP = {"frame": 56.0, "local frame": 49.5, "looked-at frame": 41.5, "hole of a ninth": 4.3}
"""At 432x240; a pair is both directions."""

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
WIDTHS = (16, 9, 9, 9, 9, 8, 6, 14, 14, 13, 7)

Network = TypeVar("Network", bound=nn.Module)


def main() -> None:
    options = parse()
    keep_freed_memory()
    exact_float32()
    if options.threads:
        torch.set_num_threads(options.threads)
    device, precision = torch.device(options.device), PRECISIONS[options.precision]
    frames, hole = clip(options.frames, options.height, options.width)
    # Random weights give no motion; a few pixels of it make the alignment read where a real clip would.
    flow = np.random.default_rng(1).normal(scale=2, size=(len(frames) - 1, 2, 2, *frames.shape[1:3])).astype(np.float32)
    inputs = np.concatenate((np.where(hole[..., None], np.uint8(0), frames), hole[..., None].astype(np.uint8)), axis=-1)
    windows = refinement_windows(options.frames)
    raft = prepare(Raft(), device, PRECISIONS[options.flow_precision])
    completion = prepare(FlowCompletion(), device, precision)
    generator = prepare(Generator(), device, precision)
    work: dict[str, Callable[[], object]] = {
        "estimate_flow": lambda: flow_both_ways(raft, frames, iterations=options.iterations),
        "complete_flow": lambda: complete(completion, flow, hole),
        "refine_frames": lambda: list(refine_windows(generator, inputs, hole, flow, windows)),
    }
    row(
        "stage", "s", "s/frame", "CPU s", "GFLOP/s", "TFLOP", "pace", "peak RSS MiB", "peak GPU MiB", "released, s",
        "share",
    )  # fmt: skip
    operations = counted(options.frames, options.iterations, windows)
    for stage in options.stages:
        measure(stage, work[stage], operations[stage] * options.height * options.width / RELEASED_PIXELS, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=RELEASED_FRAMES)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=432)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch takes")
    parser.add_argument("--precision", choices=list(PRECISIONS), default="fp32")
    parser.add_argument("--flow-precision", choices=list(PRECISIONS), default="fp32")
    parser.add_argument("--stages", nargs="+", default=list(RELEASED_S), choices=list(RELEASED_S))
    parser.add_argument("--profile", action="store_true", help="print the operators that take the most time")
    return parser.parse_args()


def clip(frames: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth noise, and a hole that drifts two pixels a frame."""
    coarse = torch.rand(frames, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(0))
    smooth = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    hole = np.zeros((frames, height, width), bool)
    for t in range(frames):
        left = (width // 3 + 2 * t) % (width - width // 3)
        hole[t, height // 3 : 2 * (height // 3), left : left + width // 3] = True
    return np.ascontiguousarray((smooth * 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()), hole


def prepare(network: Network, device: torch.device, precision: torch.dtype) -> Network:
    """Ready for inference, with weights so small that nothing runs away over the iterations."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.01) if parameter.dim() > 1 else parameter.fill_(0.01)
    return network.eval().requires_grad_(False).to(device, precision)


def counted(frames: int, iterations: int, windows: Sequence[Window]) -> dict[str, float]:
    """TFLOP of each stage at 432x240."""
    local = sum(len(window.local) for window in windows)
    looked_at = local + sum(len(window.references) for window in windows)
    raft, refinement = RAFT_GFLOP, REFINEMENT_GFLOP
    gflop = {
        "estimate_flow": frames * raft["frame"] + (frames - 1) * (raft["pair"] + iterations * raft["iteration"]),
        "complete_flow": (frames - 1) * COMPLETION_GFLOP["pair"],
        "refine_frames": frames * refinement["frame"] + looked_at * refinement["looked-at frame"]
        + local * (refinement["local frame"] + refinement["hole of a ninth"]),
    }  # fmt: skip
    return {stage: value / 1000 for stage, value in gflop.items()}


def measure(stage: str, work: Callable[[], object], tflop: float, options: argparse.Namespace) -> None:
    on_gpu = options.device != "cpu"
    if on_gpu:
        work()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    gflops = [reference_gflops(options.device)]
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    with torch.profiler.profile() if options.profile else nullcontext() as profile:
        work()
        if on_gpu:
            torch.cuda.synchronize()
    seconds, cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    gflops.append(reference_gflops(options.device))
    speed = sum(gflops) / len(gflops)
    pixels = options.frames * options.height * options.width / (RELEASED_FRAMES * RELEASED_PIXELS)
    released_s = RELEASED_S[stage] * pixels * RELEASED_GFLOPS / speed
    row(
        stage, f"{seconds:.2f}", f"{seconds / options.frames:.3f}", f"{cpu_s:.1f}", f"{speed:.0f}",
        f"{tflop:.2f}", f"{1000 * tflop / seconds / speed:.2f}",
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}",
        f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if on_gpu else "-",
        f"{released_s:.1f}", f"{seconds / released_s:.2f}",
    )  # fmt: skip
    if profile is not None:
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=40))


@torch.inference_mode()
def reference_gflops(device: str) -> float:
    """Speed of a 3x3 convolution from 640 to 512 channels in two groups at 60x108, batch 4, float32."""
    image, convolution = torch.rand(4, 640, 60, 108, device=device), nn.Conv2d(640, 512, 3, padding=1, groups=2)
    convolution.to(device)
    convolution(image)
    repeats = 10
    if device != "cpu":
        torch.cuda.synchronize()
    start_s = time.perf_counter()
    for _ in range(repeats):
        result = convolution(image)
    result[0, 0, 0, 0].item()
    return repeats * 2 * result.numel() * 320 * 9 / (time.perf_counter() - start_s) / 1e9


def row(*cells: str) -> None:
    print("".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True)), flush=True)


if __name__ == "__main__":
    main()
