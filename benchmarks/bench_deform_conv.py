"""Deformable convolution: ours, as it is installed and in PyTorch alone, against torchvision's, where that is there.

    python benchmarks/bench_deform_conv.py [--device cpu]

The sizes of the engine at 432x240 and 1280x720, float32, one thread on a CPU; the least time of five calls each, and
the largest difference of results, which are about 1. Needs the package propainter alone.
"""

import argparse
import time
from collections.abc import Callable
from unittest.mock import patch

import torch
from torch import Tensor

from propainter.ops.deform_conv import TAPS, deform_conv
from propainter.runtime.allocator import keep_freed_memory
from propainter.runtime.precision import exact_float32

SIZES = {
    "completion, 432x240": (256, 30, 54),
    "generator, 432x240": (128, 60, 108),
    "generator, 1280x720": (128, 180, 320),
}
"""Channels, rows and columns."""

OUTPUTS, GROUPS = 128, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    device = torch.device(parser.parse_args().device)
    keep_freed_memory()
    exact_float32()
    torch.set_num_threads(1)
    theirs = torchvision_operator()
    print(f"{'layer':22}{'ours, ms':>10}{'in PyTorch':>12}{'torchvision':>13}{'difference':>12}")
    for name, (channels, height, width) in SIZES.items():
        # Channels last, as the engine's convolutions leave them.
        image = torch.randn(1, height, width, channels, device=device).permute(0, 3, 1, 2)
        offset = 3 * torch.randn(1, height, width, GROUPS, TAPS, 2, device=device).permute(0, 3, 4, 5, 1, 2)
        strength = torch.rand(1, height, width, GROUPS, TAPS, device=device).permute(0, 3, 4, 1, 2)
        weight = torch.randn(OUTPUTS, channels, 3, 3, device=device) / (channels * TAPS) ** 0.5
        given = (image, offset, strength, weight, torch.randn(OUTPUTS, device=device))
        ours_s, ours = least_s(deform_conv, given)
        with (
            patch("propainter.ops.deform_conv.library", return_value=None),
            patch("propainter.ops.winograd.library", return_value=None),
        ):
            plain_s, _ = least_s(deform_conv, given)
        cells = f"{name:22}{1e3 * ours_s:10.1f}{1e3 * plain_s:12.1f}"
        if theirs is None:
            print(f"{cells}{'not there':>13}", flush=True)
        else:
            theirs_s, result = least_s(theirs, given)
            print(f"{cells}{1e3 * theirs_s:13.1f}{(result - ours).abs().max().item():12.1e}", flush=True)


def torchvision_operator() -> Callable[..., Tensor] | None:
    try:
        from torchvision.ops import deform_conv2d
    except (ImportError, RuntimeError):
        return None

    def operator(image: Tensor, offset: Tensor, strength: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        result: Tensor = deform_conv2d(
            image, offset.flatten(1, 3), weight, bias, padding=1, mask=strength.flatten(1, 2)
        )  # fmt: skip
        return result

    return operator


def least_s(operator: Callable[..., Tensor], given: tuple[Tensor, ...]) -> tuple[float, Tensor]:
    taken_s = []
    for _ in range(6):
        begin_s = time.perf_counter()
        result = operator(*given)
        result[0, 0, 0, 0].item()  # which waits for a GPU
        taken_s.append(time.perf_counter() - begin_s)
    return min(taken_s[1:]), result


if __name__ == "__main__":
    with torch.inference_mode():
        main()
