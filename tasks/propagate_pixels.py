"""Pixels that another frame shows, carried along the completed flow into the holes."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.layout import frames_spec
from propainter.core.frames import FrameRange
from propainter.core.settings import Settings
from propainter.media.surround import extend_edges
from propainter.runtime import footprint
from propainter.runtime.footprint import Footprint, Portion
from propainter.stages.propagate_pixels import propagate_pixels as stage
from tasks.devices import lease
from tasks.flow_storage import each_pair
from tasks.memory import Job, compute_segment
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
    tile = run.plan["propagate_pixels"].segments[index].tile
    extracted = run.plan["extract_frames"].key
    engine: Literal["classical", "propainter"] = "classical" if run.weights is None else "propainter"

    def read_frames(some: FrameRange) -> NDArray[np.uint8]:
        return extend_edges(run.store.read(extracted, some), run.inputs.geometry)

    with lease(run.devices) as held:

        def propagate() -> Iterator[NDArray[np.uint8]]:
            for part in tile.parts:
                window = part.window
                frames = Stored(read_frames, window)
                holes = read_holes(run, window) if run.weights else Stored(partial(read_holes, run), window)
                flow = each_pair(run, "complete_flow", pairs_in(window))
                yield from stage(frames, holes, flow, core=part.crop, engine=engine, device=held.device)

        def make(_: Portion) -> Iterable[NDArray[np.uint8]]:
            return propagate() if engine == "classical" else [*propagate()]

        return compute_segment(run, "propagate_pixels", index, held, memory_of, make)
