"""`propainter inpaint`: options to settings, progress to the terminal."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.filesize import decimal
from rich.table import Table

from cache.room import room
from flows.commands.serving import workflow_server
from flows.commands.terminal import Cache, LogFormat, bytes_of, console, out, progress_in, text_of
from flows.configuration import cache_folder, load_settings, nested
from flows.progress import listening
from flows.record import was_written_by_us
from flows.tuning import AUTO, tune
from propainter.core.errors import SettingsError
from propainter.core.settings import Automatic, Codec, Engine, Mode, Precision, Quantize, Settings, Storage
from tasks.devices import resolve_devices
from tasks.inspect_inputs import already_inspected, inspect_inputs, require_files, require_mask
from tasks.output import Output
from tasks.plan import Inputs, StagePlan, demand
from tasks.weights import weights_folder


def inpaint(
    video: Path,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    mask: Path | None = None,
    mode: Mode | None = None,
    scale_h: float | None = None,
    scale_w: float | None = None,
    engine: Engine | None = None,
    weights: Path | None = None,
    verify_weights: bool = True,
    preset: str | None = None,
    config: Path | None = None,
    width: int | None = None,
    height: int | None = None,
    max_side: int | None = None,
    resize_ratio: float | None = None,
    start: str | None = None,
    end: str | None = None,
    mask_dilation: int | None = None,
    mask_threshold: int | None = None,
    cuts: Automatic | None = None,
    roi: Automatic | None = None,
    subvideo_length: int | None = None,
    neighbor_length: int | None = None,
    ref_stride: int | None = None,
    raft_iter: int | None = None,
    precision: Precision | None = None,
    fp16: Annotated[bool, Parameter(negative="")] = False,
    flow_precision: Precision | None = None,
    quantize: Quantize | None = None,
    codec: Codec | None = None,
    crf: int | None = None,
    keep_size: bool | None = None,
    save_fps: float | None = None,
    save_frames: Annotated[bool, Parameter(negative="")] = False,
    save_masked: Annotated[bool, Parameter(negative="")] = False,
    storage: Storage | None = None,
    cache: Cache = None,
    cache_size: str | None = None,
    devices: str = "auto",
    memory_fraction: float | None = None,
    gpu_memory: float | None = None,
    threads: int | None = None,
    num_workers: int | None = None,
    resume: Annotated[bool, Parameter(name="--resume", negative="--fresh")] = True,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(negative="")] = False,
    log_format: LogFormat = "text",
    keep_server: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Remove what MASK marks from VIDEO, or extend VIDEO beyond its edges (--mode outpainting).

    Run the same command again to go on after an interruption.

    Parameters
    ----------
    video
        A video file or a folder of images.
    output
        A name that ends in .mp4, .mkv or .mov, or a folder for PNG.
    mask
        One image, a folder of images (one, or one per frame), or a video; none in outpainting.
    mode
        inpainting (default), or outpainting: the video is centred on a larger canvas and what is around it filled.
    scale_h
        Height of the canvas over that of the video (outpainting), default 1.0.
    scale_w
        Width of the canvas over that of the video (outpainting), default 1.2.
    engine
        propainter (needs its weights), classical (needs none), or auto: propainter where its weights are installed.
    weights
        Folder of the three checkpoints; default PROPAINTER_WEIGHTS or the user's folder for data.
    verify_weights
        Refuse checkpoints that are not the released ones; --no-verify-weights for your own.
    preset
        A named set of settings, over which a file and options win. Quality: draft, balanced, high, ultra; hardware:
        entry, mainstream, professional; scenario: realtime, offline, cloud; published; or auto, chosen for VIDEO.
    config
        YAML file of settings.
    width
        Processing width in pixels, given together with --height; default the video's.
    height
        Processing height in pixels.
    max_side
        Pixels that the longer side is scaled down to, where width and height are not given.
    resize_ratio
        Scales the processing size.
    start
        First frame, counted from 0, or a time as h:m:s.
    end
        Frame or time to stop before.
    mask_dilation
        Pixels by which the hole grows at processing size.
    mask_threshold
        Mask pixels above this are the hole.
    cuts
        auto (default): nothing is carried across a scene cut; off: the video is taken as one shot.
    roi
        auto: work on the surroundings of the holes instead of the whole frame; off (default).
    subvideo_length
        Frames per segment of flow completion and propagation.
    neighbor_length
        Frames refined together (propainter).
    ref_stride
        Step between the frames that refinement refers to (propainter).
    raft_iter
        Updates of the optical flow (propainter).
    precision
        Arithmetic of completion and refinement (propainter).
    fp16
        The same as --precision fp16.
    flow_precision
        Arithmetic of the optical flow (propainter), fp32 unless asked.
    quantize
        int8: the attention's linear layers in whole numbers (propainter, CPU, experimental); off (default).
    codec
        Default: from the output's name (h264, or png for a folder).
    crf
        Quality of lossy codecs, 0 to 51; smaller is better.
    keep_size
        Result at the video's size, its pixels untouched outside the mask.
    save_fps
        Frames per second given to a folder of images.
    save_frames
        Also write the result's frames as PNG, to OUTPUT.report/frames.
    save_masked
        Also write what was given with the hole painted green, to masked in OUTPUT.report.
    storage
        How flow and frames are kept: default, fast (less compressed), exact (flow as float32).
    cache_size
        Refuse to let the cache outgrow this, as 50GB.
    devices
        auto, cpu, cuda, or a list as cuda:0,cuda:1.
    memory_fraction
        Share of the memory free now, in RAM and on each GPU, that may be used; default 0.8.
    gpu_memory
        GB of each GPU to use at most.
    threads
        CPU threads of the numeric libraries.
    num_workers
        Segments computed at a time on the CPU, default 1; as naming it so often in --devices.
    resume
        Use what earlier runs computed; --fresh computes everything anew.
    dry_run
        Say what is cached and what would run.
    overwrite
        Replace an output that this program did not write.
    quiet
        Only errors.
    log_format
        Progress as text, or as one JSON object per line.
    keep_server
        Leave the workflow server running afterwards.
    """
    overrides = nested(
        {
            "mode": mode,
            "outpainting.scale_h": scale_h,
            "outpainting.scale_w": scale_w,
            "engine": engine,
            "storage": storage,
            "cuts": cuts,
            "roi": roi,
            "masks.dilation": mask_dilation,
            "masks.threshold": mask_threshold,
            "extract_frames.width": width,
            "extract_frames.height": height,
            "extract_frames.max_side": max_side,
            "extract_frames.resize_ratio": resize_ratio,
            "extract_frames.start": _place(start),
            "extract_frames.end": _place(end),
            "extract_frames.save_fps": save_fps,
            "precision": "fp16" if fp16 else precision,
            "estimate_flow.raft_iter": raft_iter,
            "estimate_flow.precision": flow_precision,
            "refine_frames.quantize": quantize,
            "complete_flow.subvideo_length": subvideo_length,
            "refine_frames.neighbor_length": neighbor_length,
            "refine_frames.ref_stride": ref_stride,
            "encode_video.codec": codec,
            "encode_video.crf": crf,
            "encode_video.keep_size": keep_size,
            "memory.fraction": memory_fraction,
            "memory.gpu_gb": gpu_memory,
        }
    )
    _limit_threads(threads)
    devices = _with_workers(devices, num_workers)
    console.quiet = out.quiet = quiet
    listener = progress_in(log_format)
    settings = load_settings(overrides, preset=None if preset == AUTO else preset, config=config)
    root = cache_folder(cache)
    place = Output(path=output.absolute())
    place.check(video, overwrite=overwrite, is_ours=lambda: was_written_by_us(place))
    with ExitStack() as stack:
        stack.enter_context(listening(listener))
        server_answers = None
        require_files(video, mask)  # the commonest slip, caught before a server is started for it
        require_mask(mask, settings)
        if not dry_run:
            server_answers = stack.enter_context(workflow_server(keep=keep_server))
        chosen: tuple[str, ...] = ()
        if preset == AUTO:
            tuning = tune(video, mask, overrides, config=config, devices=devices, weights=weights)
            settings, chosen = load_settings(overrides, preset=tuning.settings, config=config), tuning.as_notices()
        inputs = inspect_inputs(video.absolute(), mask.absolute() if mask else None, settings)
        inputs = replace(inputs, notices=(*chosen, *inputs.notices))
        if server_answers is None:
            return _explain(
                inputs, place, settings, root, devices, weights_folder(weights), verify_weights, fresh=not resume
            )
        stack.enter_context(already_inspected(inputs, place))
        remember = server_answers()
        from flows.inpaint import inpaint as flow

        done = flow.with_options(on_running=[remember])(
            str(video), text_of(mask), str(output), asdict(settings), cache=str(root), devices=devices,
            weights=text_of(weights), verify_weights=verify_weights,
            overwrite=overwrite, fresh=not resume, cache_size_bytes=bytes_of(cache_size),
            save_frames=save_frames, save_masked=save_masked,
        )  # fmt: skip
    listener.finished(done["output"], done["report"])
    return 0


def _place(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else text


def _limit_threads(threads: int | None) -> None:
    """Before the numeric libraries are imported: they read the environment once."""
    if threads is None:
        return
    if not 1 <= threads <= 1024:
        raise SettingsError(f"threads is {threads}. Give 1 to 1024.")
    os.environ.update(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), OPENCV_FOR_THREADS_NUM=str(threads))


def _with_workers(devices: str, num_workers: int | None) -> str:
    """The CPU so often, by the word for devices."""
    if num_workers is None:
        return devices
    if not 1 <= num_workers <= 16:
        raise SettingsError(f"num_workers is {num_workers}. Give 1 to 16 segments at a time.")
    if set(resolve_devices(devices)) != {"cpu"}:
        raise SettingsError(f"num_workers is for the CPU, not for {devices}. Leave it out, or give --devices cpu.")
    return ",".join(["cpu"] * num_workers)


def _explain(
    inputs: Inputs,
    place: Output,
    settings: Settings,
    root: Path,
    devices: str,
    weights: Path,
    verify_weights: bool,
    *,
    fresh: bool,
) -> int:
    """--dry-run: what is cached, what would run, and what it would take of memory and on disk."""
    from flows.planning import prepare, projected_bytes
    from flows.record import Tally
    from tasks.projection import project_run, require_memory_for

    run = prepare(inputs, place, settings, cache=root, devices=devices, weights=weights, verify_weights=verify_weights)

    def missing(stage: StagePlan, asked: Sequence[int]) -> Sequence[int]:
        return asked if fresh else run.store.would_miss(stage.key, stage.spec, asked)

    demanded = demand(run.plan, missing)
    tally = Tally()
    tally.planned(run.plan, demanded)
    memory = {
        device: {needed.stage: needed.said for needed in projections}
        for device, projections in project_run(run).items()
    }
    table = Table("stage", "frames to compute", "in the cache", *(f"memory, {device}" for device in memory))
    for stage, frames in tally.frames_to_compute.items():
        needed_there = (said.get(stage, "") if frames else "" for said in memory.values())
        table.add_row(stage, str(frames), str(tally.frames_reused[stage]), *needed_there)
    out.print(table)
    for notice in run.inputs.notices:
        out.print(notice, markup=False, soft_wrap=True)
    needed = projected_bytes(run.plan, demanded.to_compute)
    out.print(
        f"{run.settings.engine} engine on {', '.join(run.devices)} at {run.inputs.geometry.width_px}x"
        f"{run.inputs.geometry.height_px}; about {decimal(needed)} of cache in {root}, "
        f"{decimal(room(root))} free.",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    require_memory_for(run, {stage for stage, _ in demanded.to_compute})
    return 0
