"""Remove what a mask marks from a video, or extend it: plan, run what the cache lacks, join, report."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from prefect import Task, flow
from prefect.task_runners import ThreadPoolTaskRunner

from cache.room import require_room
from flows.configuration import cache_folder, load_settings
from flows.further_outputs import further_outputs, remove_further_outputs
from flows.manifest import claim_output
from flows.planning import demand_of, plan_stages, prepare, projected_bytes
from flows.prefect_calls import forget_results, refuse_to_loop, sealed
from flows.progress import progress
from flows.record import Outcome, Tally, leave_record, was_written_by_us
from flows.schedule import Future, run_in_order
from propainter.core.errors import CorruptSegmentError, FlowRangeError, MissingSegmentError
from propainter.runtime.budget import SEGMENTS_PER_DEVICE
from propainter.runtime.memory import MemorySampler
from tasks.complete_flow import complete_flow
from tasks.encode_video import encode_video, join_pieces
from tasks.estimate_flow import estimate_flow
from tasks.extract_frames import extract_frames
from tasks.inspect_inputs import check_and_inspect
from tasks.output import Output
from tasks.plan import Done, Node, Run
from tasks.projection import require_memory_for
from tasks.propagate_pixels import propagate_pixels
from tasks.refine_frames import refine_frames
from tasks.weights import weights_folder

TASKS: Mapping[str, Task[Any, Done]] = {
    "extract_frames": extract_frames,
    "estimate_flow": estimate_flow,
    "complete_flow": complete_flow,
    "propagate_pixels": propagate_pixels,
    "refine_frames": refine_frames,
    "encode_video": encode_video,
}

MOST_IN_FLIGHT = 32
"""Threads of the task runner: more than any box has devices; the schedule hands out less."""

REPLANS = 3
"""A segment found corrupt is computed again; a disk that corrupts this often is the user's to replace."""


@flow(
    name="inpaint",
    task_runner=ThreadPoolTaskRunner(max_workers=MOST_IN_FLIGHT),  # type: ignore[arg-type]
    persist_result=False,
)
def inpaint(
    video: str,
    mask: str | None,
    output: str,
    settings: dict[str, Any] | None = None,
    cache: str | None = None,
    devices: str = "auto",
    weights: str | None = None,
    verify_weights: bool = True,
    overwrite: bool = False,
    fresh: bool = False,
    cache_size_bytes: int | None = None,
    save_frames: bool = False,
    save_masked: bool = False,
) -> dict[str, Any]:
    """Remove what the mask marks from one video, or in mode outpainting fill a canvas around it.

    Args:
        mask: None in mode outpainting.
        settings: nested as `propainter.core.settings.Settings` is; what is not named keeps its default.
        cache: the store's folder; None: PROPAINTER_CACHE or the platform's cache folder.
        weights: folder of the three checkpoints; None: PROPAINTER_WEIGHTS or the user's folder for data.
        verify_weights: refuse files that are not the released ones.
        fresh: compute everything anew, as if the cache held nothing of this video.
        save_frames, save_masked: the `further_outputs` that are written into the report's folder.

    Returns:
        Paths of the result and its report, and per stage the segments computed and reused.
    """
    refuse_to_loop()
    validated = load_settings(settings or {})
    inputs, place = check_and_inspect(
        Path(video),
        Path(mask) if mask else None,
        Path(output),
        validated,
        overwrite=overwrite,
        is_ours=was_written_by_us,
    )
    run = prepare(
        inputs,
        place,
        validated,
        cache=cache_folder(cache),
        devices=devices,
        weights=weights_folder(weights),
        verify_weights=verify_weights,
    )
    further = partial(further_outputs, output=place, frames=save_frames, masked=save_masked)
    runs = [run, *(also for also, _ in further(run))]
    with place.locked():
        if fresh:
            for stage in (stage for each in runs for stage in each.plan.values()):
                run.store.discard(stage.key, stage.spec)
        return _inpaint(run, place, cache_size_bytes, further)


def _inpaint(
    run: Run, output: Output, cache_size_bytes: int | None, further: Callable[[Run], Iterator[tuple[Run, Output]]]
) -> dict[str, Any]:
    def claim(folder: Path, partial: Path) -> None:
        remove_further_outputs(output)
        claim_output(folder, partial)

    started = datetime.now(UTC)
    for notice in run.inputs.notices:
        progress().note(notice)
    with MemorySampler() as memory:
        run, tally, notices = complete(run, output, cache_size_bytes, claim)
        written = []
        for also, place in further(run):
            written.append(f"Also written: {place.path}.")
            progress().note(written[-1])
            complete(also, place, cache_size_bytes, None)
    stages = tally.stats()
    for notice in notices:
        progress().note(notice)
    outcome = Outcome(
        started=started, ended=datetime.now(UTC), stages=stages, waited_share=tally.waited_share(len(run.devices)),
        memory=memory.samples, notices=(*run.inputs.notices, *notices, *written),
    )  # fmt: skip
    report = leave_record(run, output, outcome)
    return {
        "output": str(output.path),
        "report": str(report),
        "segments_computed": {stage.stage: stage.segments_computed for stage in stages},
        "segments_reused": {stage.stage: stage.segments_reused for stage in stages},
    }


def complete(
    run: Run, output: Output, cache_size_bytes: int | None, claim: Callable[[Path, Path], None] | None
) -> tuple[Run, Tally, tuple[str, ...]]:
    """Compute what the store lacks, then publish the result; anew where the store gives way under either.

    claim: as `join_pieces` takes it.

    Returns the run as it was in the end (its storage may have been widened for large flow), what each stage did, and
    remarks for the user.
    """
    tally = Tally()
    for last_try in (*[False] * REPLANS, True):
        try:
            _compute_missing(run, tally, cache_size_bytes)
            notices = join_pieces(sealed(run), sealed(output), claim)
            return run, tally, notices
        except (CorruptSegmentError, MissingSegmentError) as error:  # who comes second finds it set aside already
            if last_try:
                raise
            progress().note(str(error))
        except FlowRangeError as error:
            if last_try or run.settings.storage == "exact":
                raise
            progress().note(f"{error} Keeping flow as float32 for this video.")
            settings = replace(run.settings, storage="exact")
            run = replace(run, settings=settings, plan=plan_stages(run.inputs, settings, run.encode, run.weights))
    raise AssertionError("the last try either returns or raises")


def _compute_missing(run: Run, tally: Tally, cache_size_bytes: int | None) -> None:
    with run.store.lease([stage.key for stage in run.plan.values() if stage.segments]):
        demanded = demand_of(run)
        tally.planned(run.plan, demanded)
        progress().planned(tally.frames_to_compute, tally.frames_reused)
        require_room(run.cache, projected_bytes(run.plan, demanded.to_compute), cache_size_bytes)
        require_memory_for(run, {stage for stage, _ in demanded.to_compute})

        def submit(node: Node, reads: Sequence[Future]) -> Future:
            stage, index = node
            return TASKS[stage].submit(sealed(run), index, wait_for=list(reads))

        def finished(node: Node, done: Done) -> None:
            forget_results()
            stage, index = node
            tally.computed(stage, done)
            for notice in done.notices:
                progress().note(notice)
            progress().computed(stage, index, len(run.plan[stage].segments[index].tile.core))

        try:
            started_s = time.monotonic()
            run_in_order(demanded.to_compute, run.plan, submit, finished, SEGMENTS_PER_DEVICE * len(run.devices))
            tally.worked(time.monotonic() - started_s)
        except KeyboardInterrupt:
            progress().note("Stopping after the segments under way.")
            raise
        for stage, asked in demanded.asked.items():
            if asked:
                run.store.finish(run.plan[stage].key, asked)
