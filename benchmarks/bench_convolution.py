"""Winograd's convolution against torch's on the layers that the engine spends its time in, at 432x240.

    python benchmarks/bench_convolution.py
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/bench_convolution.py --avx2

The second is what processors without AVX-512 do. One thread; the least CPU time of five calls each. Shares are of
torch's time in float32; errors are root mean squares against double precision, for results of about 1; the last two are
with the weights, and with what the products multiply by, rounded to bf16. Needs the package propainter alone, compiled.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional as F

from propainter.ops import winograd
from propainter.runtime.allocator import keep_freed_memory

LAYERS = {
    "flow: GRU, z and r, rows": (256, 256, (1, 5), 1, (2, 30, 54)),
    "flow: GRU, q, columns": (256, 128, (5, 1), 1, (2, 30, 54)),
    "flow: correlation's features": (256, 192, (3, 3), 1, (2, 30, 54)),
    "flow: finest maps": (64, 64, (3, 3), 1, (1, 120, 216)),
    "completion: state": (256, 128, (3, 3), 1, (2, 30, 54)),
    "generator: encoder, 2 groups": (640, 512, (3, 3), 2, (1, 60, 108)),
    "generator: encoder, 8 groups": (640, 256, (3, 3), 8, (1, 60, 108)),
    "generator: offsets": (128, 432, (3, 3), 1, (1, 60, 108)),
    "generator: keys of 4 frames": (512, 512, (1, 1), 1, (4, 20, 36)),
    "generator: mixing 4 frames": (512, 1960, (1, 1), 1, (4, 20, 36)),
}


def main() -> None:
    keep_freed_memory()
    torch.set_num_threads(1)
    headings = f"{'torch, ms':>11}{'GFLOP/s':>9}{'ours':>7}{'bf16':>7}{'ours':>7}{'error':>9}{'ours':>9}"
    print(f"{'layer':30}{headings}{'rounded':>9}{'ours':>9}")
    for name, (inputs, outputs, taps, groups, (batch, height, width)) in LAYERS.items():
        image = torch.randn(batch, height, width, inputs).permute(0, 3, 1, 2)
        weight = torch.randn(outputs, inputs // groups, *taps) / (inputs // groups * taps[0] * taps[1]) ** 0.5
        padding = (taps[0] // 2, taps[1] // 2)
        kernel = winograd.prepare(weight, groups)

        def direct(dtype: torch.dtype) -> Tensor:
            return F.conv2d(image.to(dtype), weight.to(dtype), padding=padding, groups=groups)  # noqa: B023

        def ours(dtype: torch.dtype) -> Tensor:
            return winograd.convolve(image.to(dtype), kernel, None, padding=padding)  # noqa: B023

        exact = direct(torch.float64)
        direct_s = least_s(direct, torch.float32)
        shares = [least_s(way, dtype) / direct_s for way, dtype in (
            (ours, torch.float32), (direct, torch.bfloat16), (ours, torch.bfloat16))]  # fmt: skip
        errors = [(way(torch.float32) - exact).square().mean().sqrt() for way in (direct, ours)]
        rounded = replace(kernel, panels=kernel.panels.bfloat16().float())
        for result in (
            F.conv2d(image, weight.bfloat16().float(), padding=padding, groups=groups),
            winograd.convolve(image, rounded, None, padding=padding),
        ):
            errors.append((result - exact).square().mean().sqrt())
        gflops = 2 * weight.numel() * batch * height * width / direct_s / 1e9
        print(
            f"{name:30}{1e3 * direct_s:11.1f}{gflops:9.0f}" + "".join(f"{share:7.2f}" for share in shares)
            + "".join(f"{error:9.1e}" for error in errors),
            flush=True,
        )  # fmt: skip


def least_s(call: Callable[[torch.dtype], object], dtype: torch.dtype) -> float:
    call(dtype)
    taken_s = []
    for _ in range(5):
        begin_s = time.process_time()
        call(dtype)
        taken_s.append(time.process_time() - begin_s)
    return min(taken_s)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--avx2", action="store_true")
    narrow = patch.object(winograd, "widest_panel", return_value=16) if parser.parse_args().avx2 else nullcontext()
    with torch.inference_mode(), narrow:
        main()
