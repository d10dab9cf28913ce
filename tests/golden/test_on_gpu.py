"""The engine on a CUDA device. Skipped without one; with PROPAINTER_REQUIRE_GPU=1 that is a failure.

What can be seen without one is whether a GPU's way through the code keeps to one device, and gives the same.

Needs the package propainter alone: `pytest --confcutdir tests/golden tests/golden/test_on_gpu.py`. Tolerances are wider
than on a CPU: a GPU adds up in another order.
"""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from second_device import second_device
from synthetic_networks import DATA, with_synthetic_weights

from propainter.core.frames import FrameRange
from propainter.models.checkpoints import FLOW_COMPLETION, GENERATOR, RAFT
from propainter.models.flow_completion import FlowCompletion
from propainter.models.generator.network import Generator
from propainter.models.raft.network import Raft
from propainter.ops.windows import refinement_windows
from propainter.runtime.precision import exact_float32
from propainter.stages.complete_flow import complete_flow
from propainter.stages.estimate_flow import estimate_flow
from propainter.stages.propagate_pixels import propagate_pixels
from propainter.stages.refine_frames import refine_frames_in_windows

FRAMES = 8


@pytest.fixture(scope="module")
def cuda() -> str:
    if not torch.cuda.is_available():
        if os.environ.get("PROPAINTER_REQUIRE_GPU") == "1":
            pytest.fail("PROPAINTER_REQUIRE_GPU is 1, and there is no CUDA device.")
        pytest.skip("there is no CUDA device")
    exact_float32()
    return "cuda:0"


@pytest.fixture(scope="module")
def clip() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    folder = DATA / "clip_a"
    frames = [cv2.imread(str(path))[..., ::-1] for path in _first(folder / "frames")]
    masks = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 0 for path in _first(folder / "masks")]
    return np.stack(frames), np.stack(masks)


def _first(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())[:FRAMES]


def run(
    clip: tuple[NDArray[np.uint8], NDArray[np.bool_]], device: str, dtype: torch.dtype
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Flow in float32, and frames with their holes filled, the rest in dtype."""
    frames, hole = clip
    flow = estimate_flow(frames, with_synthetic_weights(RAFT.file_name, Raft()).to(device), iterations=4)
    completion = with_synthetic_weights(FLOW_COMPLETION.file_name, FlowCompletion()).to(device, dtype)
    generator = with_synthetic_weights(GENERATOR.file_name, Generator()).to(device, dtype)
    completed = complete_flow(flow, hole, completion)
    propagated = [*propagate_pixels(frames, hole, completed, engine="propainter", device=device)]
    windows, everything = refinement_windows(len(frames)), FrameRange(0, len(frames))
    return flow, refine_frames_in_windows(propagated, hole, completed, windows, everything, generator)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "levels"), [(torch.float32, 1), (torch.float16, 4), (torch.bfloat16, 8)], ids=["fp32", "fp16", "bf16"]
)
def test_a_gpu_gives_what_a_processor_gives(
    cuda: str, clip: tuple[NDArray[np.uint8], NDArray[np.bool_]], dtype: torch.dtype, levels: int
) -> None:
    expected_flow, expected = run(clip, "cpu", torch.float32)
    flow, result = run(clip, cuda, dtype)
    np.testing.assert_allclose(flow, expected_flow, rtol=0, atol=5e-3)
    difference = np.abs(result.astype(int) - expected)
    assert difference.max() <= levels
    assert not difference[~clip[1]].any()


@pytest.fixture(scope="module")
def small(clip: tuple[NDArray[np.uint8], NDArray[np.bool_]]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    frames, hole = (part[:3, :128, :136] for part in clip)
    assert hole.any()
    return frames, hole


@pytest.fixture(scope="module")
def on_a_processor(
    small: tuple[NDArray[np.uint8], NDArray[np.bool_]],
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    return run(small, "cpu", torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=["fp32", "fp16", "bf16"])
def test_a_gpus_way_through_the_code_keeps_to_one_device_and_gives_the_same(
    small: tuple[NDArray[np.uint8], NDArray[np.bool_]],
    on_a_processor: tuple[NDArray[np.float32], NDArray[np.uint8]],
    dtype: torch.dtype,
) -> None:
    expected_flow, expected = on_a_processor
    with second_device() as device:
        flow, result = run(small, str(device), dtype)
    np.testing.assert_allclose(flow, expected_flow, rtol=0, atol=1e-4)
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_tensors_of_two_devices_do_not_meet() -> None:
    with second_device() as device, pytest.raises(RuntimeError, match="both devices"):
        torch.ones(2, device=device) + torch.ones(2)
