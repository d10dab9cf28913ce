"""The learned engine's results are the same bits in whatever order its segments are computed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import draw_clip, write_masks, write_video
from numpy.typing import NDArray
from synthetic_weights import write_weights

from flows.inpaint import TASKS
from flows.planning import demand_of, prepare
from propainter.core.settings import CompleteFlow, EstimateFlow, RefineFrames, Settings
from tasks import estimate_flow, networks, refine_frames
from tasks.devices import DeviceLease
from tasks.inspect_inputs import inspect_inputs
from tasks.output import Output
from tasks.plan import Node, Run, reads_of

ARRAYS = ("estimate_flow", "complete_flow", "propagate_pixels", "refine_frames")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Eight frames in two or three segments a stage."""
    monkeypatch.setattr(estimate_flow, "SEGMENT_PAIRS", 3)
    monkeypatch.setattr(refine_frames, "SEGMENT_FRAMES", 3)
    frames, holes = draw_clip(8, 128, 128)
    video, masks = write_video(tmp_path / "clip.mkv", frames), write_masks(tmp_path / "masks", holes)
    settings = Settings(
        engine="propainter",
        estimate_flow=EstimateFlow(raft_iter=1),
        complete_flow=CompleteFlow(subvideo_length=4),
        refine_frames=RefineFrames(neighbor_length=6, ref_stride=4),
    )
    return prepare(
        inspect_inputs(video, masks, settings), Output(path=tmp_path / "out.mkv"), settings,
        cache=tmp_path / "cache", devices="cpu", weights=write_weights(tmp_path / "weights"), verify_weights=False,
    )  # fmt: skip


def results(run: Run, cache: Path, compute: Callable[[Run, Sequence[Node]], None]) -> dict[str, NDArray[Any]]:
    run = replace(run, cache=cache)
    compute(run, demand_of(run).to_compute)
    return {stage: run.store.read(run.plan[stage].key, frames_of(run, stage)) for stage in ARRAYS}


def frames_of(run: Run, stage: str) -> Any:
    return run.inputs.pairs if stage.endswith("flow") else run.inputs.clip


def one_by_one(run: Run, nodes: Sequence[Node]) -> None:
    for stage, index in nodes:
        TASKS[stage].fn(run, index)


def stage_by_stage_from_the_end_two_at_a_time(run: Run, nodes: Sequence[Node]) -> None:
    with ThreadPoolExecutor(2) as pool:
        for stage in TASKS:
            indices = sorted((index for name, index in nodes if name == stage), reverse=True)
            list(pool.map(lambda index, stage=stage: TASKS[stage].fn(run, index), indices))


def last_that_can_be_with_a_restart_halfway(run: Run, nodes: Sequence[Node]) -> None:
    done: set[Node] = set()
    while len(done) < len(nodes):  # neither depth nor breadth first
        ready = [node for node in nodes if node not in done and not (set(reads_of(run.plan, node)) & set(nodes)) - done]
        if len(done) == len(nodes) // 2:
            networks._loaded.cache_clear()
        one_by_one(run, ready[-1:])
        done |= {ready[-1]}


@pytest.mark.slow
def test_neither_order_nor_company_nor_a_restart_changes_a_bit(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = results(run, tmp_path / "first", one_by_one)
    assert len(run.plan["estimate_flow"].segments) == len(run.plan["refine_frames"].segments) == 3
    cpu = DeviceLease(device="cpu", give_back=lambda: None)
    for module in ("estimate_flow", "complete_flow", "propagate_pixels", "refine_frames"):  # no waiting for the CPU
        monkeypatch.setattr(f"tasks.{module}.lease", lambda devices: nullcontext(cpu))
    for compute in (stage_by_stage_from_the_end_two_at_a_time, last_that_can_be_with_a_restart_halfway):
        for stage, array in results(run, tmp_path / compute.__name__, compute).items():
            assert np.array_equal(array, expected[stage]), (compute.__name__, stage)
