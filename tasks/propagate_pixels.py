"""Pixels that another frame shows, carried along the completed flow into the holes."""

import time
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.layout import frames_spec
from propainter.core.frames import FrameRange, Tile, part_by_part
from propainter.core.settings import Settings
from propainter.media.surround import extend_edges
from propainter.runtime import footprint
from propainter.runtime.footprint import Footprint
from propainter.stages.propagate_pixels import propagate_pixels as stage
from tasks.devices import lease
from tasks.flow_storage import each_pair
from tasks.memory import Job, within_memory
from tasks.plan import Done, Inputs, Plan, Read, Run, SegmentInputs, StagePlan, plan_stage
from tasks.sources import read_holes
from tasks.stored import Stored

EPOCH, CLASSICAL_EPOCH = 2, 3
CONTEXT_FRAMES = 10
LONGEST_SEGMENT_FRAMES = 100


def pairs_in(frames: FrameRange) -> FrameRange:
    """The pairs that lie wholly in these frames."""
    return FrameRange(frames.start, frames.stop - 1)


def longest_segment(settings: Settings) -> int:
    return min(LONGEST_SEGMENT_FRAMES, settings.complete_flow.subvideo_length)


def plan_propagate_pixels(inputs: Inputs, settings: Settings, upstream: Plan) -> StagePlan:
    segment_frames = longest_segment(settings)
    return plan_stage(
        "propagate_pixels",
        epoch=CLASSICAL_EPOCH if settings.engine == "classical" else EPOCH,
        settings={"engine": settings.engine},
        tiles=[
            SegmentInputs(
                tile=tile,
                reads=(
                    Read(stage="extract_frames", frames=tile.window),
                    Read(stage="complete_flow", frames=pairs_in(tile.window)),
                ),
                depends={"holes": inputs.hole_digest(tile.window)},
            )
            for tile in inputs.clip.tiles(segment_frames, CONTEXT_FRAMES, inputs.shots)
        ],
        segment_frames=segment_frames,
        upstream=upstream,
        spec=frames_spec(
            len(inputs.clip), inputs.geometry.height_px, inputs.geometry.width_px, 4, segment_frames, settings.storage
        ),
    )


def memory_of(job: Job) -> Footprint:
    frames = min(longest_segment(job.settings) + 2 * CONTEXT_FRAMES, job.frames)
    if job.settings.engine == "propainter":
        return footprint.image_propagation(job.frame("fp32"), frames)
    return footprint.classical(job.frame("fp32"), "propagate_pixels", frames, job.hole_share)


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="propagate_pixels {index}")
def propagate_pixels(run: Run, index: int) -> Done:
    plan = run.plan["propagate_pixels"]
    with lease(run.devices) as held:
        propagated, seconds, notices = _propagated(run, plan.segments[index].tile, held.device)
    run.store.write(plan.key, index, propagated)
    return Done(seconds=seconds, bytes=propagated.nbytes, notices=notices)


def _propagated(run: Run, tile: Tile, device: str) -> tuple[NDArray[np.uint8], float, tuple[str, ...]]:
    """A tile's core, the seconds it took, and remarks. What was read for it is held no longer."""
    engine: Literal["classical", "propainter"] = "classical" if run.weights is None else "propainter"
    extracted = run.plan["extract_frames"].key
    holes = read_holes(run, tile.window)

    def propagate(part: Tile) -> NDArray[np.uint8]:
        seen = part.window.slice_in(tile.window)
        frames = Stored(lambda some: extend_edges(run.store.read(extracted, some), run.inputs.geometry), part.window)
        flow = each_pair(run, "complete_flow", pairs_in(part.window))
        return stage(frames, holes[seen], flow, core=part.crop, engine=engine, device=device)

    job = Job.of(run, device)
    started = time.perf_counter()
    propagated, notices = within_memory(
        job, memory_of(job), lambda _: part_by_part(tile, propagate), sharing=len(run.devices)
    )
    return propagated, time.perf_counter() - started, notices
