"""What no frame shows, made up; and the seams of what was carried, blended."""

from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.layout import frames_spec
from propainter.core.frames import FrameRange
from propainter.core.settings import Settings
from propainter.models.checkpoints import GENERATOR
from propainter.ops.windows import Window, frames_looked_at, refinement_windows, windows_seeing
from propainter.runtime import footprint
from propainter.runtime.footprint import Footprint, Portion
from propainter.stages.refine_frames import refine_frames as stage
from propainter.stages.refine_frames import refine_frames_in_windows
from tasks import networks
from tasks.devices import lease
from tasks.flow_storage import each_pair
from tasks.memory import Job, compute_segment
from tasks.plan import Done, Inputs, Plan, Read, Run, SegmentInputs, StagePlan, plan_stage
from tasks.propagate_pixels import pairs_in
from tasks.sources import read_holes
from tasks.stored import each_frame
from tasks.weights import Weights

EPOCH = 2
SEGMENT_FRAMES = 80
"""Also the length of an encoded piece: shorter ones cost bits, longer ones cost work when a run dies."""


def plan_refine_frames(inputs: Inputs, settings: Settings, weights: Weights | None, upstream: Plan) -> StagePlan:
    engine: dict[str, object] = {"engine": settings.engine}
    windows: tuple[Window, ...] = ()
    if weights is not None:
        engine |= {"precision": settings.precision, "weights": weights.digest(GENERATOR)}
        if settings.refine_frames.quantize != "off":
            engine["quantize"] = settings.refine_frames.quantize
        windows = windows_of(inputs, settings)
    segments = []
    for tile in inputs.clip.tiles(SEGMENT_FRAMES, shots=inputs.shots):
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
    return tuple(
        window.counted_from(-shot.start)
        for shot in inputs.shots
        for window in refinement_windows(
            len(shot),
            neighbor_length=settings.refine_frames.neighbor_length,
            ref_stride=settings.refine_frames.ref_stride,
            subvideo_length=settings.complete_flow.subvideo_length,
        )
    )


def memory_of(job: Job) -> Footprint:
    core_frames = min(SEGMENT_FRAMES, job.frames)
    if job.settings.engine == "classical":
        return footprint.classical(job.frame("fp32"), "refine_frames", core_frames)
    settings = job.settings
    windows = refinement_windows(
        min(job.frames, 4 * (SEGMENT_FRAMES + settings.complete_flow.subvideo_length)),
        neighbor_length=settings.refine_frames.neighbor_length,
        ref_stride=settings.refine_frames.ref_stride,
        subvideo_length=settings.complete_flow.subvideo_length,
    )
    largest = max(windows, key=lambda window: len(window.local) + len(window.references))
    frames = len(frames_looked_at(windows_seeing(windows, FrameRange(0, core_frames))))
    return footprint.generator(
        job.frame(settings.precision),
        frames=min(job.frames, 2 * frames - core_frames),
        core_frames=core_frames,
        local=len(largest.local),
        references=len(largest.references),
    )


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="refine_frames {index}")
def refine_frames(run: Run, index: int) -> Done:
    segment = run.plan["refine_frames"].segments[index]
    tile, core = segment.tile, segment.tile.core
    seen = segment.reads[0].frames
    with lease(run.devices) as held:

        def fill(_: Portion) -> Iterable[NDArray[np.uint8]]:
            return chain.from_iterable(stage(each_frame(run, "propagate_pixels", part.core)) for part in tile.parts)

        def refine(portion: Portion) -> NDArray[np.uint8]:
            return refine_frames_in_windows(
                each_frame(run, "propagate_pixels", seen),
                holes,
                each_pair(run, "complete_flow", pairs_in(seen)),
                [window.counted_from(seen.start) for window in windows],
                FrameRange(core.start - seen.start, core.stop - seen.start),
                generator,
                frames_at_once=portion.at_once,
                frames_kept=portion.kept,
            )

        if run.weights is not None:
            holes = read_holes(run, seen)
            windows = windows_seeing(windows_of(run.inputs, run.settings), core)
            generator = networks.generator(
                run.weights, held.device, run.settings.precision, run.settings.refine_frames.quantize
            )
        return compute_segment(run, "refine_frames", index, held, memory_of, fill if run.weights is None else refine)
