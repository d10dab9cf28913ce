"""Decode a segment and keep it at processing size."""

import time
from dataclasses import asdict

from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.layout import frames_spec
from propainter.core.settings import Settings
from propainter.stages.extract_frames import extract_frames as stage
from tasks.plan import Done, Inputs, Run, SegmentInputs, StagePlan, plan_stage
from tasks.sources import video_for

EPOCH = 1
SEGMENT_FRAMES = 16


def plan_extract_frames(inputs: Inputs, settings: Settings) -> StagePlan:
    geometry = inputs.geometry
    return plan_stage(
        "extract_frames",
        epoch=EPOCH,
        # What is 0 or None is left out: frames without margins or a crop do not depend on there being such a thing.
        settings={"geometry": {name: size_px for name, size_px in asdict(geometry).items() if size_px}},
        tiles=[
            SegmentInputs(
                tile=tile,
                depends={"video": inputs.content_digest, "frames": str(inputs.in_source(tile.core))},
            )
            for tile in inputs.clip.tiles(SEGMENT_FRAMES)
        ],
        segment_frames=SEGMENT_FRAMES,
        upstream={},
        spec=frames_spec(len(inputs.clip), geometry.height_px, geometry.width_px, 3, SEGMENT_FRAMES, settings.storage),
    )


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="extract_frames {index}")
def extract_frames(run: Run, index: int) -> Done:
    started = time.perf_counter()
    plan = run.plan["extract_frames"]
    with video_for("extract_frames", run) as video:
        decoded = video.read(run.inputs.in_source(plan.segments[index].tile.core))
    frames = stage(decoded, run.inputs.geometry)
    run.store.write(plan.key, index, frames)
    return Done(seconds=time.perf_counter() - started, bytes=frames.nbytes)
