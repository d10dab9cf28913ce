"""Pixels that another frame shows, carried along the completed flow into the holes."""

import time
from typing import Literal

from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.layout import frames_spec
from propainter.core.frames import FrameRange
from propainter.core.settings import Settings
from propainter.media.surround import extend_edges
from propainter.stages.propagate_pixels import propagate_pixels as stage
from tasks.devices import lease
from tasks.flow_storage import each_pair
from tasks.plan import Done, Inputs, Plan, Read, Run, SegmentInputs, StagePlan, plan_stage
from tasks.sources import read_holes

EPOCH = 1
CONTEXT_FRAMES = 10
LONGEST_SEGMENT_FRAMES = 100


def pairs_in(frames: FrameRange) -> FrameRange:
    """The pairs that lie wholly in these frames."""
    return FrameRange(frames.start, frames.stop - 1)


def plan_propagate_pixels(inputs: Inputs, settings: Settings, upstream: Plan) -> StagePlan:
    segment_frames = min(LONGEST_SEGMENT_FRAMES, settings.complete_flow.subvideo_length)
    return plan_stage(
        "propagate_pixels",
        epoch=EPOCH,
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
            for tile in inputs.clip.tiles(segment_frames, CONTEXT_FRAMES)
        ],
        segment_frames=segment_frames,
        upstream=upstream,
        spec=frames_spec(
            len(inputs.clip), inputs.geometry.height_px, inputs.geometry.width_px, 4, segment_frames, settings.storage
        ),
    )


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="propagate_pixels {index}")
def propagate_pixels(run: Run, index: int) -> Done:
    plan = run.plan["propagate_pixels"]
    tile = plan.segments[index].tile
    frames = extend_edges(run.store.read(run.plan["extract_frames"].key, tile.window), run.inputs.geometry)
    flow = each_pair(run, "complete_flow", pairs_in(tile.window))
    holes = read_holes(run, tile.window)
    engine: Literal["classical", "propainter"] = "classical" if run.weights is None else "propainter"
    with lease(run.devices) as held:
        started = time.perf_counter()
        propagated = stage(frames, holes, flow, core=tile.crop, engine=engine, device=held.device)
        seconds = time.perf_counter() - started
    run.store.write(plan.key, index, propagated)
    return Done(seconds=seconds, bytes=propagated.nbytes)
