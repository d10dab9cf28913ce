"""The projection of a stage's memory is kept honest: what a stage takes, measured, is held against it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from propainter.runtime.footprint import Frame, classical, flow_completion, generator, image_propagation, raft

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured by what Linux tells of a process")
def test_every_stage_takes_what_is_projected_and_two_thirds_of_it_at_least() -> None:
    # A process of its own, in which nothing else allocates.
    command = [sys.executable, "-m", "benchmarks.probe_memory", "--quick"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=True)
    lines = done.stdout.splitlines()
    assert len({tuple(line.split()[:2]) for line in lines}) == 8  # four stages of two engines
    for line in lines:
        measured_mb, projected_mb = map(float, line.split()[-3:-1])
        assert measured_mb <= projected_mb < 1.5 * measured_mb, line


def test_twice_the_pixels_take_no_more_than_twice_the_memory_but_for_correlation() -> None:
    once, twice = Frame(height_px=240, width_px=432), Frame(height_px=480, width_px=432)
    for needs in (
        lambda frame: flow_completion(frame, pairs=90, core_pairs=80),
        lambda frame: image_propagation(frame, frames=100),
        lambda frame: generator(frame, frames=100, core_frames=80, local=11, references=10),
        lambda frame: classical(frame, "propagate_pixels", frames=100),
    ):
        of_once, of_twice = (
            needs(frame).ram_bytes() + needs(frame).device_bytes(needs(frame).most) for frame in (once, twice)
        )
        assert 1.8 * of_once < of_twice < 2.2 * of_once
    assert raft(twice, pairs=1).item_bytes > 2.5 * raft(once, pairs=1).item_bytes


def test_half_precision_takes_less_of_what_the_networks_hold_and_as_much_of_the_rest() -> None:
    single, half = (Frame(height_px=240, width_px=432, value_bytes=value_bytes, on_cpu=False) for value_bytes in (4, 2))
    for_single, for_half = (generator(frame, 100, 80, local=11, references=10) for frame in (single, half))
    assert for_half.base_bytes == pytest.approx(for_single.base_bytes / 2, abs=1)
    assert for_half.host_bytes == for_single.host_bytes
