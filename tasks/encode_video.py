"""Put the filled holes into the source's own frames and encode them, piece by piece; then join the pieces."""

import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from propainter.core.frames import FrameRange
from propainter.core.settings import Settings
from propainter.media.composite import composite_frames, painted
from propainter.media.encode_spec import EncodeSpec
from propainter.media.mux import write_folder, write_video
from propainter.media.piece import encode_piece
from propainter.runtime.allocator import return_freed_memory
from tasks.output import Output
from tasks.plan import Done, Inputs, Plan, Read, Run, SegmentInputs, StagePlan, plan_stage
from tasks.refine_frames import SEGMENT_FRAMES
from tasks.sources import read_holes, video_for

EPOCH = 1
COMPOSED_AT_ONCE = 4
"""Frames whose holes are held."""


def plan_encode_video(
    inputs: Inputs,
    settings: Settings,
    encode: EncodeSpec,
    upstream: Plan,
    shown: Literal["refine_frames", "extract_frames"] = "refine_frames",
) -> StagePlan:
    """shown: what is seen in the hole: what it is filled with, or what was there, painted over."""
    return plan_stage(
        "encode_video",
        epoch=EPOCH,
        settings={name: str(value) for name, value in asdict(encode).items()}
        | {"keep_size": settings.encode_video.keep_size},
        tiles=[
            SegmentInputs(
                tile=tile,
                reads=(Read(stage=shown, frames=tile.core),) if inputs.has_hole(tile.core) else (),
                depends={
                    "video": inputs.content_digest,
                    "frames": str(inputs.in_source(tile.core)),
                    "holes": inputs.hole_digest(tile.core),
                },
            )
            for tile in inputs.clip.tiles(SEGMENT_FRAMES)
        ],
        segment_frames=SEGMENT_FRAMES,
        upstream=upstream,
        spec=None,
    )


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="encode_video {index}")
def encode_video(run: Run, index: int) -> Done:
    started = time.perf_counter()
    plan = run.plan["encode_video"]
    core = plan.segments[index].tile.core

    def filled(frames: FrameRange) -> NDArray[np.uint8] | None:
        frames = run.inputs.in_clip(frames)
        if not run.inputs.has_hole(frames):
            return None
        (read,) = plan.segments[index].reads
        pictures = run.store.read(run.plan[read.stage].key, frames)
        return pictures if read.stage == "refine_frames" else painted(pictures)

    with video_for("encode_video", run) as video:
        frames = chain.from_iterable(
            composite_frames(
                video, run.inputs.in_source(some), filled, read_holes(run, some), run.inputs.geometry, run.encode
            )
            for some in (tile.core for tile in core.tiles(COMPOSED_AT_ONCE))
        )
        piece = encode_piece(frames, run.encode)
    return_freed_memory()  # the encoder's
    run.store.write_blob(plan.key, index, piece)
    return Done(seconds=time.perf_counter() - started, bytes=len(piece))


@task(cache_policy=NO_CACHE, persist_result=False)
def join_pieces(run: Run, output: Output, claim: Callable[[Path, Path], None] | None) -> tuple[str, ...]:
    """Write the result under its final name from committed pieces. Returns remarks for the user.

    claim: told of the report's folder and of the result, whole, just before that gets its name.
    """
    plan = run.plan["encode_video"]
    pieces = (run.store.read_blob(plan.key, index) for index in range(len(plan.segments)))
    with output.writing() as partial, video_for("encode_video", run) as video:
        if output.is_folder:
            write_folder(pieces, run.encode, run.inputs.frames, partial)
            notices: tuple[str, ...] = ()
        else:
            notices = write_video(pieces, run.encode, video, run.inputs.frames, partial)
        if claim is not None:
            claim(output.report_folder, partial)
    return notices
