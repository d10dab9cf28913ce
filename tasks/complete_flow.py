"""Flow inside the holes, from the flow around them."""

import time

from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.layout import flow_spec
from propainter.core.settings import Settings
from propainter.media.surround import holes_for_flow
from propainter.models.checkpoints import FLOW_COMPLETION
from propainter.stages.complete_flow import complete_flow as stage
from tasks import networks
from tasks.devices import lease
from tasks.estimate_flow import frames_of
from tasks.flow_storage import flow_type, read_flow, to_storage
from tasks.plan import Done, Inputs, Plan, Read, Run, SegmentInputs, StagePlan, plan_stage
from tasks.sources import read_holes
from tasks.weights import Weights

EPOCH = 2
CONTEXT_PAIRS = 5
"""5 here, 10 for pixels: the released code differs, and parity needs it."""

CLASSICAL_SEGMENT_PAIRS = 16
"""The classical engine completes each pair by itself: it needs neither long segments nor context."""


def plan_complete_flow(inputs: Inputs, settings: Settings, weights: Weights | None, upstream: Plan) -> StagePlan:
    engine: dict[str, object] = {"engine": settings.engine}
    segment_pairs, context_pairs = CLASSICAL_SEGMENT_PAIRS, 0
    if weights is not None:
        engine |= {"precision": settings.precision, "weights": weights.digest(FLOW_COMPLETION)}
        segment_pairs, context_pairs = settings.complete_flow.subvideo_length, CONTEXT_PAIRS
    return plan_stage(
        "complete_flow",
        epoch=EPOCH,
        settings=engine | {"storage": flow_type(settings.storage)},
        tiles=[
            SegmentInputs(
                tile=tile,
                reads=(Read(stage="estimate_flow", frames=tile.window),),
                depends={"holes": inputs.hole_digest(frames_of(tile.window))},
            )
            for tile in inputs.pairs.tiles(segment_pairs, context_pairs)
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
    flow = read_flow(run, "estimate_flow", tile.window)
    holes = holes_for_flow(read_holes(run, frames_of(tile.window)), run.inputs.geometry)
    with lease(run.devices) as held:
        network = None
        if run.weights is not None:
            network = networks.flow_completion(run.weights, held.device, run.settings.precision)
        started = time.perf_counter()
        completed = stage(flow, holes, network)[tile.crop]
        seconds = time.perf_counter() - started
    stored = to_storage(completed, run.settings.storage)
    run.store.write(plan.key, index, stored)
    return Done(seconds=seconds, bytes=stored.nbytes)
