"""Flow inside the holes, from the flow around them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.layout import flow_spec
from propainter.core.frames import FrameRange, Tile, part_by_part
from propainter.core.settings import Settings
from propainter.media.surround import holes_for_flow
from propainter.models.checkpoints import FLOW_COMPLETION
from propainter.runtime import footprint
from propainter.runtime.footprint import Footprint, Portion
from propainter.stages.complete_flow import complete_flow as stage
from tasks import networks
from tasks.devices import lease
from tasks.estimate_flow import frames_of
from tasks.flow_storage import PAIRS_HELD, each_pair, flow_type, in_storage, to_storage
from tasks.memory import Job, compute_segment
from tasks.plan import Done, Inputs, Plan, Read, Run, SegmentInputs, StagePlan, plan_stage
from tasks.sources import read_holes
from tasks.weights import Weights

EPOCH, CLASSICAL_EPOCH = 3, 4
CONTEXT_PAIRS = 5
"""5 here, 10 for pixels: the released code differs, and parity needs it."""

CLASSICAL_SEGMENT_PAIRS = 16
"""The classical engine completes each pair by itself: it needs neither long segments nor context."""


def plan_complete_flow(inputs: Inputs, settings: Settings, weights: Weights | None, upstream: Plan) -> StagePlan:
    engine: dict[str, object] = {"engine": settings.engine}
    segment_pairs, context_pairs = CLASSICAL_SEGMENT_PAIRS, 0
    shots: tuple[FrameRange, ...] = ()
    if weights is not None:
        engine |= {"precision": settings.precision, "weights": weights.digest(FLOW_COMPLETION)}
        segment_pairs, context_pairs = settings.complete_flow.subvideo_length, CONTEXT_PAIRS
        shots = tuple(FrameRange(shot.start, shot.stop - 1) for shot in inputs.shots)
    return plan_stage(
        "complete_flow",
        epoch=CLASSICAL_EPOCH if settings.engine == "classical" else EPOCH,
        settings=engine | {"storage": flow_type(settings.storage)},
        tiles=[
            SegmentInputs(
                tile=tile,
                reads=(Read(stage="estimate_flow", frames=tile.window),),
                depends={"holes": inputs.hole_digest(frames_of(tile.window))},
            )
            for tile in inputs.pairs.tiles(segment_pairs, context_pairs, shots)
        ],
        segment_frames=segment_pairs,
        upstream=upstream,
        spec=flow_spec(
            len(inputs.pairs), inputs.geometry.height_px, inputs.geometry.width_px, segment_pairs, settings.storage
        ),
    )


def memory_of(job: Job) -> Footprint:
    core_pairs = max(1, min(job.settings.complete_flow.subvideo_length, job.frames - 1))
    pairs = max(1, min(core_pairs + 2 * CONTEXT_PAIRS, job.frames - 1))
    if job.settings.engine == "propainter":
        return footprint.flow_completion(job.frame(job.settings.precision), pairs, core_pairs)
    return footprint.classical(job.frame("fp32"), "complete_flow", min(PAIRS_HELD, pairs))


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="complete_flow {index}")
def complete_flow(run: Run, index: int) -> Done:
    tile = run.plan["complete_flow"].segments[index].tile
    storage = run.settings.storage
    holes = holes_for_flow(read_holes(run, frames_of(tile.window)), run.inputs.geometry)
    with lease(run.devices) as held:
        network = None
        if run.weights is not None:
            network = networks.flow_completion(run.weights, held.device, run.settings.precision)

        def complete(part: Tile, portion: Portion) -> NDArray[Any]:
            seen = frames_of(part.window).slice_in(frames_of(tile.window))
            flow = each_pair(run, "estimate_flow", part.window)
            completed = stage(flow, holes[seen], network, core=part.crop, directions_at_once=portion.at_once)
            return to_storage(completed, storage)

        def complete_one(pair: FrameRange) -> NDArray[np.float32]:
            seen = frames_of(pair).slice_in(frames_of(tile.window))
            return stage(each_pair(run, "estimate_flow", pair), holes[seen])

        def work(portion: Portion) -> Iterable[NDArray[Any]]:
            if network is None:
                return in_storage(tile.core, complete_one, storage)
            return part_by_part(tile, lambda part: complete(part, portion))

        return compute_segment(run, "complete_flow", index, held, memory_of, work)
