"""Decode a segment and keep it at processing size."""

import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.layout import frames_spec
from propainter.core.frames import FrameRange
from propainter.core.geometry import Pan
from propainter.core.settings import Settings
from propainter.stages.extract_frames import extract_frames as stage
from tasks.footage import Footage
from tasks.plan import Done, Run, SegmentInputs, StagePlan, plan_stage
from tasks.sources import video_for

EPOCH = 1
SEGMENT_FRAMES = 16
DECODED_AT_ONCE = 2


def plan_extract_frames(inputs: Footage, settings: Settings) -> StagePlan:
    geometry = inputs.geometry
    sizes = asdict(geometry)
    if isinstance(geometry.crop, Pan):
        sizes["crop"] = {"height_px": geometry.height_px, "width_px": geometry.width_px}
    return plan_stage(
        "extract_frames",
        epoch=EPOCH,
        # What is 0 or None is left out: frames without margins or a crop do not depend on there being such a thing.
        settings={"geometry": {name: size_px for name, size_px in sizes.items() if size_px}},
        tiles=[
            SegmentInputs(tile=tile, depends=_depends(inputs, tile.core)) for tile in inputs.clip.tiles(SEGMENT_FRAMES)
        ],
        segment_frames=SEGMENT_FRAMES,
        upstream={},
        spec=frames_spec(len(inputs.clip), geometry.height_px, geometry.width_px, 3, SEGMENT_FRAMES, settings.storage),
    )


def _depends(inputs: Footage, frames: FrameRange) -> Mapping[str, object]:
    """Where a crop pans, its places in these frames alone: what moves it elsewhere does not reach them."""
    in_source = inputs.in_source(frames)
    crop = inputs.geometry.crop
    places = {"places_px": crop.places_in(in_source)} if isinstance(crop, Pan) else {}
    return {"video": inputs.content_digest, "frames": str(in_source), **places}


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="extract_frames {index}")
def extract_frames(run: Run, index: int) -> Done:
    started = time.perf_counter()
    plan = run.plan["extract_frames"]
    in_source = run.inputs.in_source(plan.segments[index].tile.core)

    def frames() -> Generator[NDArray[np.uint8]]:
        with video_for("extract_frames", run) as video:
            for some in in_source.tiles(DECODED_AT_ONCE):
                yield from stage(video.read(some.core), run.inputs.geometry, some.core.start)

    # Closed even where the write failed: its error would keep the frames' maker, and that the video's lock.
    with closing(frames()) as made:
        run.store.write(plan.key, index, made)
    return Done(seconds=time.perf_counter() - started, bytes=plan.array_bytes(index))
