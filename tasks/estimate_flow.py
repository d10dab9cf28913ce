"""Optical flow of a segment's pairs, both ways, on unmasked frames: no change of mask ever recomputes it."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.layout import flow_spec
from propainter.core.errors import ShapeError
from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry
from propainter.core.settings import Settings
from propainter.models.checkpoints import RAFT
from propainter.models.raft.network import MIN_SIDE_PX
from propainter.runtime import footprint
from propainter.runtime.footprint import Footprint, Portion
from propainter.stages.estimate_flow import estimate_flow as stage
from tasks import networks
from tasks.devices import lease
from tasks.flow_storage import PAIRS_HELD, flow_type, in_storage, to_storage
from tasks.footage import Footage
from tasks.memory import Job, compute_segment
from tasks.plan import Done, Plan, Read, Run, SegmentInputs, StagePlan, plan_stage
from tasks.stored import each_frame
from tasks.weights import Weights

EPOCH = 3
SEGMENT_PAIRS = 16


def frames_of(pairs: FrameRange) -> FrameRange:
    """The frames that these pairs lie between."""
    return FrameRange(pairs.start, pairs.stop + 1)


def require_network_size(geometry: Geometry) -> None:
    """Refuse what the learned engine cannot work on.

    Raises:
        ShapeError: a side is too small for the networks.
    """
    if min(geometry.height_px, geometry.width_px) < MIN_SIDE_PX:
        raise ShapeError(
            f"{geometry.width_px}x{geometry.height_px} is too small for the optical flow network: both sides must be "
            f"at least {MIN_SIDE_PX} pixels. Give a larger --width and --height, or --engine classical."
        )


def plan_estimate_flow(inputs: Footage, settings: Settings, weights: Weights | None, upstream: Plan) -> StagePlan:
    engine: dict[str, object] = {"engine": settings.engine}
    if weights is not None:
        engine |= {**asdict(settings.estimate_flow), "weights": weights.digest(RAFT)}
    return plan_stage(
        "estimate_flow",
        epoch=EPOCH,
        settings=engine | {"storage": flow_type(settings.storage)},
        tiles=[
            SegmentInputs(tile=tile, reads=(Read(stage="extract_frames", frames=frames_of(tile.core)),), depends={})
            for tile in inputs.pairs.tiles(SEGMENT_PAIRS)
        ],
        segment_frames=SEGMENT_PAIRS,
        upstream=upstream,
        spec=flow_spec(
            len(inputs.pairs), inputs.geometry.height_px, inputs.geometry.width_px, SEGMENT_PAIRS, settings.storage
        ),
    )


def memory_of(job: Job) -> Footprint:
    pairs = max(1, min(SEGMENT_PAIRS, job.frames - 1))
    if job.settings.engine == "propainter":
        return footprint.raft(job.frame(job.settings.estimate_flow.precision), pairs)
    return footprint.classical(job.frame("fp32"), "estimate_flow", min(PAIRS_HELD, pairs))


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="estimate_flow {index}")
def estimate_flow(run: Run, index: int) -> Done:
    pairs = run.plan["estimate_flow"].segments[index].tile.core
    settings, storage = run.settings.estimate_flow, run.settings.storage
    if run.weights is not None:
        frames = run.store.read(run.plan["extract_frames"].key, frames_of(pairs))  # before a device is asked for
    with lease(run.devices) as held:

        def estimate(portion: Portion) -> Iterable[NDArray[Any]]:
            if raft is None:
                shown = each_frame(run, "extract_frames", frames_of(pairs))

                def flow_of(pair: FrameRange) -> NDArray[np.float32]:
                    first = pair.start - pairs.start
                    return stage(np.stack([shown[first], shown[first + 1]]))

                return in_storage(pairs, flow_of, storage)
            return to_storage(
                stage(frames, raft, iterations=settings.raft_iter, flows_at_once=portion.at_once), storage
            )

        raft = None if run.weights is None else networks.raft(run.weights, held.device, settings.precision)
        return compute_segment(run, "estimate_flow", index, held, memory_of, estimate)
