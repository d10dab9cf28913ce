"""What no frame shows, made up; and the seams of what was carried, blended."""

import time

from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.layout import frames_spec
from propainter.core.settings import Settings
from propainter.stages.refine_frames import refine_frames as stage
from tasks.devices import lease
from tasks.plan import Done, Inputs, Plan, Read, Run, SegmentInputs, StagePlan, plan_stage
from tasks.sources import read_holes

EPOCH = 1
SEGMENT_FRAMES = 80
"""Also the length of an encoded piece: shorter ones cost bits, longer ones cost work when a run dies."""


def plan_refine_frames(inputs: Inputs, settings: Settings, upstream: Plan) -> StagePlan:
    return plan_stage(
        "refine_frames",
        epoch=EPOCH,
        settings={"engine": settings.engine},
        tiles=[
            SegmentInputs(
                tile=tile,
                reads=(Read(stage="propagate_pixels", frames=tile.core),),
                depends={"holes": inputs.hole_digest(tile.core)},
            )
            for tile in inputs.clip.tiles(SEGMENT_FRAMES)
        ],
        segment_frames=SEGMENT_FRAMES,
        upstream=upstream,
        spec=frames_spec(
            len(inputs.clip), inputs.geometry.height_px, inputs.geometry.width_px, 3, SEGMENT_FRAMES, settings.storage
        ),
    )


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="refine_frames {index}")
def refine_frames(run: Run, index: int) -> Done:
    plan = run.plan["refine_frames"]
    core = plan.segments[index].tile.core
    propagated = run.store.read(run.plan["propagate_pixels"].key, core)
    holes = read_holes(run, core)
    with lease(run.devices):
        started = time.perf_counter()
        refined = stage(propagated, holes)
        seconds = time.perf_counter() - started
    run.store.write(plan.key, index, refined)
    return Done(seconds=seconds, bytes=refined.nbytes)
