"""Remove what a mask marks from a video, or extend it: plan, run what the cache lacks, join, report."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from prefect import Task, flow
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import opaque

from cache.maintenance import require_room
from flows.configuration import cache_folder, load_settings
from flows.further_outputs import further_outputs
from flows.manifest import claim_output
from flows.progress import progress
from flows.record import Outcome, Tally, leave_record, was_written_by_us
from flows.schedule import Future, run_in_order
from propainter.core.errors import (
    CorruptSegmentError,
    FlowRangeError,
    MissingSegmentError,
    RunError,
    SettingsError,
    ShapeError,
)
from propainter.core.settings import Settings
from propainter.media.encode_spec import EncodeSpec, plan_encoding
from propainter.models.raft.network import MIN_SIDE_PX
from propainter.runtime.budget import SEGMENTS_PER_DEVICE
from propainter.runtime.memory import MemorySampler
from propainter.runtime.precision import require_precision
from tasks.complete_flow import complete_flow, plan_complete_flow
from tasks.devices import resolve_devices
from tasks.encode_video import encode_video, join_pieces, plan_encode_video
from tasks.estimate_flow import estimate_flow, plan_estimate_flow
from tasks.extract_frames import extract_frames, plan_extract_frames
from tasks.find_cuts import find_cuts
from tasks.inspect_inputs import check_and_inspect
from tasks.output import Output
from tasks.plan import Demand, Done, Inputs, Node, Plan, Run, StagePlan, demand
from tasks.projection import require_memory_for
from tasks.propagate_pixels import plan_propagate_pixels, propagate_pixels
from tasks.refine_frames import plan_refine_frames, refine_frames
from tasks.weights import Weights, are_installed, find_weights, weights_folder

T = TypeVar("T")

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

LONG_SEARCH_FRAMES = 5000
"""Half a minute: worth a remark."""

MOST_CUTS_NAMED = 20
"""In the remark on them."""

MOST_ATTEMPTS = 3
"""Starts of one flow run before it is given up."""

REPLANS = 3
"""A segment found corrupt is computed again; a disk that corrupts this often is the user's to replace."""

COMPRESSED_SHARE = {"extract_frames": 0.9, "estimate_flow": 0.5, "complete_flow": 0.5, "refine_frames": 0.9}
"""Stored bytes over raw bytes, rounded up from real clips; what is not named here is taken as raw."""


def prepare(
    inputs: Inputs,
    output: Output,
    settings: Settings,
    *,
    cache: Path,
    devices: str,
    weights: Path,
    verify_weights: bool,
) -> Run:
    """Decide everything that a run will do, before it changes anything but for what the cache keeps of scene cuts.

    Raises:
        ProPainterError: with one line that says what, the value and the way out.
    """
    encode = plan_encoding(inputs.info, settings.encode_video, inputs.geometry, output.path)
    settings, inputs = choose_engine(settings, inputs, weights)
    found = None
    if settings.engine == "propainter":
        require_precision(settings.precision, resolve_devices(devices))
        require_precision(settings.estimate_flow.precision, resolve_devices(devices))
        if settings.refine_frames.quantize == "int8" and resolve_devices(devices) != ("cpu",):
            raise SettingsError(
                f"quantize int8 is for the CPU, not for {devices}. Give --devices cpu, or leave it out."
            )
        found = find_weights(weights, verify=verify_weights)
    run = Run(
        inputs=inputs,
        settings=settings,
        plan=plan_stages(inputs, settings, encode, found),
        encode=encode,
        cache=cache,
        devices=resolve_devices(devices),
        weights=found,
    )
    return run if settings.cuts == "off" else mind_cuts(run)


def mind_cuts(run: Run) -> Run:
    """The run with nothing carried across a scene cut, and a remark on where those are; itself where there is none."""
    cuts = find_cuts(run.inputs, run.plan, run.settings.extract_frames.save_fps, run.store, _announce_search)
    if not cuts:
        return run
    places = [str(run.inputs.frames.start + cut) for cut in cuts]
    more = [f"{len(places) - MOST_CUTS_NAMED} more"] if len(places) > MOST_CUTS_NAMED else []
    note = f"Scene cuts, which nothing is carried across, at frame {', '.join(places[:MOST_CUTS_NAMED] + more)}."
    inputs = replace(run.inputs, cuts=cuts, notices=(*run.inputs.notices, note))
    return replace(run, inputs=inputs, plan=plan_stages(inputs, run.settings, run.encode, run.weights))


def _announce_search(frames: int) -> None:
    if frames >= LONG_SEARCH_FRAMES:
        progress().note(f"Looking for scene cuts in {frames} frames, which is done once for a video.")


def choose_engine(settings: Settings, inputs: Inputs, weights: Path) -> tuple[Settings, Inputs]:
    """Settings with the engine decided, and inputs with what the user should know of it.

    Raises:
        ShapeError: the frames are too small for the networks.
    """
    if settings.engine == "classical":
        return settings, inputs
    note = None
    height_px, width_px = inputs.geometry.height_px, inputs.geometry.width_px
    too_small = min(height_px, width_px) < MIN_SIDE_PX
    if len(inputs.clip) == 1:
        note = "Engine classical: a single frame has no neighbours to take anything from."
    elif settings.engine == "auto" and not are_installed(weights):
        note = f"Engine classical: there are no ProPainter weights in {weights}; `propainter weights fetch` gets them."
    elif settings.engine == "auto" and too_small:
        note = f"Engine classical: {width_px}x{height_px} is too small for the networks ({MIN_SIDE_PX} pixels a side)."
    if note is not None:
        return replace(settings, engine="classical"), replace(inputs, notices=(*inputs.notices, note))
    if too_small:
        raise ShapeError(
            f"{width_px}x{height_px} is too small for the optical flow network: both sides must be at least "
            f"{MIN_SIDE_PX} pixels. Give a larger --width and --height, or --engine classical."
        )
    return replace(settings, engine="propainter"), inputs


def plan_stages(inputs: Inputs, settings: Settings, encode: EncodeSpec, weights: Weights | None) -> Plan:
    """All six stages, each chained to those that it reads."""
    plan: dict[str, StagePlan] = {"extract_frames": plan_extract_frames(inputs, settings)}
    plan["estimate_flow"] = plan_estimate_flow(inputs, settings, weights, plan)
    plan["complete_flow"] = plan_complete_flow(inputs, settings, weights, plan)
    plan["propagate_pixels"] = plan_propagate_pixels(inputs, settings, plan)
    plan["refine_frames"] = plan_refine_frames(inputs, settings, weights, plan)
    plan["encode_video"] = plan_encode_video(inputs, settings, encode, plan)
    return plan


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


def refuse_to_loop() -> None:
    """End a run that an automation has started again and again: what killed it would kill it once more.

    Raises:
        RunError: this is the fourth attempt, or a later one.
    """
    attempts = flow_run.run_count
    if attempts is not None and attempts > MOST_ATTEMPTS:
        raise RunError(
            f"This run was started {attempts} times and died each time. "
            "See its log for what it did last; what it finished is kept for the next run."
        )


def _inpaint(
    run: Run, output: Output, cache_size_bytes: int | None, further: Callable[[Run], Iterator[tuple[Run, Output]]]
) -> dict[str, Any]:
    started = datetime.now(UTC)
    for notice in run.inputs.notices:
        progress().note(notice)
    with MemorySampler() as memory:
        run, tally, notices = complete(run, output, cache_size_bytes, claim_output)
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


def demand_of(run: Run) -> Demand:
    """What the result asks for and the store lacks."""

    def missing(stage: StagePlan, asked: Sequence[int]) -> Sequence[int]:
        run.store.create(stage.key, stage.spec, stage.recipe)
        return run.store.missing(stage.key, asked)

    return demand(run.plan, missing)


def sealed(value: T) -> T:
    """An argument that Prefect hands on without looking for futures in it: in a plan that takes half a second."""
    return cast(T, opaque(value))


def projected_bytes(plan: Plan, nodes: Sequence[Node]) -> int:
    """What these segments will take on disk."""
    total = 0.0
    for stage, index in nodes:
        spec = plan[stage].spec
        if spec is not None:
            frames = len(plan[stage].segments[index].tile.core)
            total += frames * spec.frame_bytes * COMPRESSED_SHARE.get(stage, 1.0)
    return int(total)


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
