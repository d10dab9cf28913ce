"""What no frame shows, made up; and the seams of what was carried, blended."""

import time
from dataclasses import asdict

from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.layout import frames_spec
from propainter.core.frames import FrameRange
from propainter.core.settings import Settings
from propainter.models.checkpoints import GENERATOR
from propainter.ops.windows import Window, frames_looked_at, refinement_windows, windows_seeing
from propainter.stages.refine_frames import refine_frames as stage
from propainter.stages.refine_frames import refine_frames_in_windows
from tasks import networks
from tasks.devices import lease
from tasks.flow_storage import read_flow
from tasks.plan import Done, Inputs, Plan, Read, Run, SegmentInputs, StagePlan, plan_stage
from tasks.propagate_pixels import pairs_in
from tasks.sources import read_holes
from tasks.weights import Weights

EPOCH = 2
SEGMENT_FRAMES = 80
"""Also the length of an encoded piece: shorter ones cost bits, longer ones cost work when a run dies."""


def plan_refine_frames(inputs: Inputs, settings: Settings, weights: Weights | None, upstream: Plan) -> StagePlan:
    engine: dict[str, object] = {"engine": settings.engine}
    windows: tuple[Window, ...] = ()
    if weights is not None:
        engine |= {"precision": settings.precision, "weights": weights.digest(GENERATOR)}
        windows = windows_of(inputs, settings)
    segments = []
    for tile in inputs.clip.tiles(SEGMENT_FRAMES):
        seeing = windows_seeing(windows, tile.core)
        seen = frames_looked_at(seeing) if seeing else tile.core
        reads = [Read(stage="propagate_pixels", frames=seen)]
        depends: dict[str, object] = {"holes": inputs.hole_digest(seen)}
        if seeing:
            reads.append(Read(stage="complete_flow", frames=pairs_in(seen)))
            counted = [asdict(window.counted_from(seen.start)) for window in seeing]
            depends |= {"windows": counted, "first": tile.core.start - seen.start}
        segments.append(SegmentInputs(tile=tile, reads=tuple(reads), depends=depends))
    return plan_stage(
        "refine_frames",
        epoch=EPOCH,
        settings=engine,
        tiles=segments,
        segment_frames=SEGMENT_FRAMES,
        upstream=upstream,
        spec=frames_spec(
            len(inputs.clip), inputs.geometry.height_px, inputs.geometry.width_px, 3, SEGMENT_FRAMES, settings.storage
        ),
    )


def windows_of(inputs: Inputs, settings: Settings) -> tuple[Window, ...]:
    return refinement_windows(
        len(inputs.clip),
        neighbor_length=settings.refine_frames.neighbor_length,
        ref_stride=settings.refine_frames.ref_stride,
        subvideo_length=settings.complete_flow.subvideo_length,
    )


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="refine_frames {index}")
def refine_frames(run: Run, index: int) -> Done:
    plan = run.plan["refine_frames"]
    core = plan.segments[index].tile.core
    seen = plan.segments[index].reads[0].frames
    propagated = run.store.read(run.plan["propagate_pixels"].key, seen)
    if run.weights is None:
        with lease(run.devices):
            started = time.perf_counter()
            refined = stage(propagated)
            seconds = time.perf_counter() - started
    else:
        holes = read_holes(run, seen)
        flow = read_flow(run, "complete_flow", pairs_in(seen))
        windows = windows_seeing(windows_of(run.inputs, run.settings), core)
        with lease(run.devices) as held:
            generator = networks.generator(run.weights, held.device, run.settings.precision)
            started = time.perf_counter()
            refined = refine_frames_in_windows(
                propagated,
                holes,
                flow,
                [window.counted_from(seen.start) for window in windows],
                FrameRange(core.start - seen.start, core.stop - seen.start),
                generator,
            )
            seconds = time.perf_counter() - started
    run.store.write(plan.key, index, refined)
    return Done(seconds=seconds, bytes=refined.nbytes)
