"""Flow inside the holes, from the flow around them."""

import time

from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.layout import flow_spec
from propainter.core.settings import Settings
from propainter.stages.complete_flow import complete_flow as stage
from tasks.devices import lease
from tasks.estimate_flow import frames_of
from tasks.flow_storage import read_flow, to_storage
from tasks.plan import Done, Inputs, Plan, Read, Run, SegmentInputs, StagePlan, plan_stage
from tasks.sources import read_holes

EPOCH = 1
CLASSICAL_SEGMENT_PAIRS = 16
"""The classical engine completes each pair by itself: it needs neither long segments nor context."""


def plan_complete_flow(inputs: Inputs, settings: Settings, upstream: Plan) -> StagePlan:
    segment_pairs = CLASSICAL_SEGMENT_PAIRS
    return plan_stage(
        "complete_flow",
        epoch=EPOCH,
        settings={"engine": settings.engine, "storage": settings.storage},
        tiles=[
            SegmentInputs(
                tile=tile,
                reads=(Read(stage="estimate_flow", frames=tile.core),),
                depends={"holes": inputs.hole_digest(frames_of(tile.core))},
            )
            for tile in inputs.pairs.tiles(segment_pairs)
        ],
        segment_frames=segment_pairs,
        upstream=upstream,
        spec=flow_spec(
            len(inputs.pairs), inputs.geometry.height_px, inputs.geometry.width_px, segment_pairs, settings.storage
        ),
    )


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="complete_flow {index}")
def complete_flow(run: Run, index: int) -> Done:
    plan = run.plan["complete_flow"]
    tile = plan.segments[index].tile
    flow = read_flow(run, "estimate_flow", tile.core)
    holes = read_holes(run, frames_of(tile.core))
    with lease(run.devices):
        started = time.perf_counter()
        completed = stage(flow, holes)
        seconds = time.perf_counter() - started
    stored = to_storage(completed, run.settings.storage)
    run.store.write(plan.key, index, stored)
    return Done(seconds=seconds, bytes=stored.nbytes)
