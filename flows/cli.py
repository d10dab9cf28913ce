"""The command line: options to settings, progress to the terminal, errors to one line. The only place that prints.

Whatever is slow to import is imported where it is used: `propainter --help` and a mistyped option answer at once.
"""

import importlib.metadata
import math
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import cyclopts
import rich.progress
from cyclopts import Parameter
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from cache import maintenance
from flows.configuration import cache_folder, load_settings
from flows.progress import JsonProgress, Progress, TerminalProgress, listening
from flows.record import was_written_by_us
from flows.server import (
    LocalServer,
    ServerStatus,
    forget_run,
    mark_dead_runs,
    record_run,
    server_home,
    server_status,
    start_server,
    stop_server,
)
from propainter.core.errors import (
    MaskError,
    MediaError,
    OutputError,
    ProPainterError,
    SettingsError,
)
from propainter.core.settings import Codec, Engine, Precision, Settings, Storage
from propainter.models.checkpoints import KNOWN_CHECKPOINTS, LICENCE_URL
from propainter.runtime.allocator import share_one_heap
from tasks.inspect_inputs import already_inspected, inspect_inputs
from tasks.output import Output
from tasks.plan import Inputs, demand
from tasks.weights import find_weights, weights_folder

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

app = cyclopts.App(
    name="propainter",
    help="Remove objects from video, resumably.",
    version_flags=["--version"],
    version=importlib.metadata.version("propainter-pipeline"),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
cache_app = cyclopts.App(name="cache", help="Look after the results kept on disk.")
server_app = cyclopts.App(name="server", help="The local workflow server.")
weights_app = cyclopts.App(name="weights", help="The checkpoints of the learned engine.")
app.command(cache_app)
app.command(weights_app)
app.command(server_app)

console = Console(stderr=True, highlight=False, emoji=False)
out = Console(highlight=False, emoji=False)

Cache = Annotated[Path | None, Parameter(help="Folder for results; default PROPAINTER_CACHE or the platform's.")]


@app.command
def inpaint(
    video: Path,
    *,
    mask: Path,
    output: Annotated[Path, Parameter(alias="-o")],
    engine: Engine | None = None,
    weights: Path | None = None,
    verify_weights: bool = True,
    preset: str | None = None,
    config: Path | None = None,
    width: int | None = None,
    height: int | None = None,
    resize_ratio: float | None = None,
    start: str | None = None,
    end: str | None = None,
    mask_dilation: int | None = None,
    mask_threshold: int | None = None,
    subvideo_length: int | None = None,
    neighbor_length: int | None = None,
    ref_stride: int | None = None,
    raft_iter: int | None = None,
    precision: Precision | None = None,
    fp16: Annotated[bool, Parameter(negative="")] = False,
    flow_precision: Precision | None = None,
    codec: Codec | None = None,
    crf: int | None = None,
    keep_size: bool | None = None,
    save_fps: float | None = None,
    storage: Storage | None = None,
    cache: Cache = None,
    cache_size: str | None = None,
    devices: str = "auto",
    threads: int | None = None,
    resume: Annotated[bool, Parameter(name="--resume", negative="--fresh")] = True,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(negative="")] = False,
    log_format: Literal["text", "json"] = "text",
    keep_server: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Remove what MASK marks from VIDEO. Run the same command again to go on after an interruption.

    Parameters
    ----------
    video
        A video file or a folder of images.
    mask
        One image, a folder of images (one, or one per frame), or a video.
    output
        A name that ends in .mp4, .mkv or .mov, or a folder for PNG.
    engine
        propainter (needs its weights), classical (needs none), or auto: propainter where its weights are installed.
    weights
        Folder of the three checkpoints; default PROPAINTER_WEIGHTS or the user's folder for data.
    verify_weights
        Refuse checkpoints that are not the released ones; --no-verify-weights for your own.
    preset
        A named set of settings (draft, balanced, entry, mainstream, professional); a file and options win over it.
    config
        YAML file of settings.
    width
        Processing width in pixels, given together with --height; default the video's.
    height
        Processing height in pixels.
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
    codec
        Default: from the output's name (h264, or png for a folder).
    crf
        Quality of lossy codecs, 0 to 51; smaller is better.
    keep_size
        Result at the video's size, its pixels untouched outside the mask.
    save_fps
        Frames per second given to a folder of images.
    storage
        How flow and frames are kept: default, fast (less compressed), exact (flow as float32).
    cache_size
        Refuse to let the cache outgrow this, as 50GB.
    devices
        auto, cpu, cuda, or a list as cuda:0,cuda:1.
    threads
        CPU threads of the numeric libraries.
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
    overrides = _nested(
        {
            "engine": engine,
            "storage": storage,
            "masks.dilation": mask_dilation,
            "masks.threshold": mask_threshold,
            "extract_frames.width": width,
            "extract_frames.height": height,
            "extract_frames.resize_ratio": resize_ratio,
            "extract_frames.start": _place(start),
            "extract_frames.end": _place(end),
            "extract_frames.save_fps": save_fps,
            "precision": "fp16" if fp16 else precision,
            "estimate_flow.raft_iter": raft_iter,
            "estimate_flow.precision": flow_precision,
            "complete_flow.subvideo_length": subvideo_length,
            "refine_frames.neighbor_length": neighbor_length,
            "refine_frames.ref_stride": ref_stride,
            "encode_video.codec": codec,
            "encode_video.crf": crf,
            "encode_video.keep_size": keep_size,
        }
    )
    _limit_threads(threads)
    console.quiet = out.quiet = quiet
    listener: Progress = JsonProgress(sys.stderr) if log_format == "json" else TerminalProgress(console, out)
    settings = load_settings(overrides, preset=preset, config=config)
    root = cache_folder(cache)
    place = Output(path=output.absolute())
    place.check(video, overwrite=overwrite, is_ours=lambda: was_written_by_us(place))
    with ExitStack() as stack:
        stack.enter_context(listening(listener))
        server = None
        _require_readable(video, mask)
        if not dry_run:
            server = stack.enter_context(LocalServer(server_home(), keep=keep_server))
        inputs = inspect_inputs(video.absolute(), mask.absolute(), settings)
        if server is None:
            return _explain(
                inputs, place, settings, root, devices, weights_folder(weights), verify_weights, fresh=not resume
            )
        stack.enter_context(already_inspected(inputs, place))
        server.wait()
        mark_dead_runs(server_home())
        from flows.inpaint import inpaint as flow

        def remember(flow: object, flow_run: "FlowRun", state: object) -> None:
            """Note which process carries the flow run, until it ends, so that a killed one can be marked."""
            record_run(server_home(), flow_run.id)
            stack.callback(forget_run, server_home(), flow_run.id)

        done = flow.with_options(on_running=[remember])(
            str(video), str(mask), str(output), asdict(settings), cache=str(root), devices=devices,
            weights=str(weights) if weights else None, verify_weights=verify_weights,
            overwrite=overwrite, fresh=not resume, cache_size_bytes=_bytes_of(cache_size),
        )  # fmt: skip
    listener.finished(done["output"], done["report"])
    return 0


@app.command
def demo(folder: Path = Path("demo"), *, cache: Cache = None, keep_server: bool = False) -> int:
    """Make a small clip with sound, remove what moves across it, and say where the result and its report are.

    Parameters
    ----------
    folder
        Where the clip, its masks and the result go.
    keep_server
        Leave the workflow server running afterwards.
    """
    from propainter.media.sample import draw_sample, write_sample

    _require_demo_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    video, masks = write_sample(folder, draw_sample())
    console.print(f"Made {video} and {masks}.", markup=False)
    return inpaint(
        video, mask=masks, output=folder / "result.mp4", engine="classical", cache=cache, keep_server=keep_server
    )


@cache_app.command(name="ls")
def cache_ls(*, cache: Cache = None) -> None:
    """Every entry: stage, key, segments, size, last use."""
    table = Table("stage", "key", "segments", "size", "last used", "")
    for entry in sorted(maintenance.list_entries(cache_folder(cache)), key=lambda entry: entry.last_used_s):
        table.add_row(
            entry.stage,
            entry.digest[:12],
            str(entry.segments) if entry.complete else "incomplete",
            _size_text(entry.size_bytes),
            datetime.fromtimestamp(entry.last_used_s).strftime("%Y-%m-%d %H:%M"),
            "pinned" if entry.pinned else "",
        )
    out.print(table)


@cache_app.command(name="stat")
def cache_stat(*, cache: Cache = None) -> None:
    """Entries and bytes by stage."""
    root = cache_folder(cache)
    table = Table("stage", "entries", "incomplete", "size")
    for total in maintenance.stat(root):
        table.add_row(total.stage, str(total.entries), str(total.incomplete), _size_text(total.size_bytes))
    out.print(table)
    used, free = _size_text(maintenance.used_bytes(root)), _size_text(maintenance.room(root))
    out.print(f"{root} holds {used}, unfinished entries counted; {free} are free.", markup=False, soft_wrap=True)


@cache_app.command(name="verify")
def cache_verify(*, quick: Annotated[bool, Parameter(negative="")] = False, cache: Cache = None) -> int:
    """Check every checksum (--quick: every shard's index); what is broken is set aside and named."""
    result = maintenance.verify(cache_folder(cache), quick=quick)
    for fault in result.faults:
        out.print(f"{fault.path}: {fault.reason}. It was set aside.", markup=False, soft_wrap=True)
    out.print(f"{result.segments} segments checked, {len(result.faults)} broken.")
    return 1 if result.faults else 0


@cache_app.command(name="gc")
def cache_gc(*, max_size: str | None = None, max_age_days: float | None = None, cache: Cache = None) -> None:
    """Delete whole entries, those unused for longest first, down to --max-size or up to --max-age-days."""
    if max_age_days is not None and not 0 <= max_age_days < math.inf:
        raise SettingsError(f"max_age_days is {max_age_days}. Give days, 0 or more.")
    collected = maintenance.gc(
        cache_folder(cache),
        max_bytes=_bytes_of(max_size),
        max_age_s=None if max_age_days is None else max_age_days * 86400,
    )
    out.print(f"{len(collected.removed)} entries deleted, {_size_text(collected.freed_bytes)} freed.")


@cache_app.command(name="pin")
def cache_pin(key: str, *, cache: Cache = None) -> None:
    """Keep an entry, named by the beginning of its key, from ever being collected."""
    out.print(f"Pinned {maintenance.pin(cache_folder(cache), key).digest}.")


@cache_app.command(name="unpin")
def cache_unpin(key: str, *, cache: Cache = None) -> None:
    """Let a pinned entry be collected again."""
    out.print(f"Unpinned {maintenance.unpin(cache_folder(cache), key).digest}.")


@weights_app.command(name="fetch")
def weights_fetch(
    *,
    accept_license: Annotated[bool, Parameter(negative="")] = False,
    mirror: Annotated[str | None, Parameter(name="--from")] = None,
    weights: Path | None = None,
) -> None:
    """Download the released checkpoints; a broken download goes on where it broke.

    Parameters
    ----------
    accept_license
        Say that you have read the terms that are named first.
    mirror
        URL of a folder that holds the files, or a folder on this machine.
    weights
        Where they go; default PROPAINTER_WEIGHTS or the user's folder for data.
    """
    from tasks.fetch_weights import fetch_weights, import_weights

    for checkpoint in KNOWN_CHECKPOINTS:
        out.print(f"{checkpoint.file_name}: {decimal(checkpoint.size_bytes)}, {checkpoint.licence}", markup=False)
    if not accept_license:
        raise SettingsError(
            f"These files come under their authors' terms ({LICENCE_URL}). Give --accept-license to fetch them."
        )
    folder = weights_folder(weights)
    if mirror is not None and Path(mirror).is_dir():
        import_weights(Path(mirror), folder)
    else:
        with rich.progress.Progress(console=console) as bar:
            tasks = {file: bar.add_task(file.file_name, total=file.size_bytes) for file in KNOWN_CHECKPOINTS}
            fetch_weights(folder, mirror=mirror, received=lambda file, held: bar.update(tasks[file], completed=held))
    out.print(f"The weights are in {folder}.", markup=False, soft_wrap=True)


@weights_app.command(name="verify")
def weights_verify(*, weights: Path | None = None) -> None:
    """Check that the three files are the released ones."""
    folder = weights_folder(weights)
    find_weights(folder, verify=True)
    out.print(f"The weights in {folder} are the released ones.", markup=False, soft_wrap=True)


@weights_app.command(name="import")
def weights_import(source: Path, *, weights: Path | None = None) -> None:
    """Copy the released checkpoints from a folder, verified."""
    from tasks.fetch_weights import import_weights

    import_weights(source, weights_folder(weights))
    out.print(f"The weights are in {weights_folder(weights)}.", markup=False, soft_wrap=True)


@server_app.command(name="start")
def server_start() -> None:
    """Start the workflow server and leave it running."""
    _say_status(start_server(server_home()))


@server_app.command(name="status")
def server_status_command() -> int:
    """Say whether the workflow server runs, and where."""
    status = server_status(server_home())
    _say_status(status)
    return 0 if status else 1


@server_app.command(name="stop")
def server_stop() -> None:
    """Stop the workflow server once its last run has ended."""
    _say_status(stop_server(server_home()))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command; the process leaves with its exit status."""
    share_one_heap()
    signal.signal(signal.SIGTERM, _interrupt)
    _quieten_console()
    try:
        status = app(
            _with_dashes(sys.argv[1:] if arguments is None else arguments), exit_on_error=False, print_error=False
        )
    except cyclopts.CycloptsError as error:
        status = _fail(_usage(error))
    except ProPainterError as error:
        status = _fail(str(error))
    except OSError as error:
        status = _fail(f"{error.filename or 'a file'}: {error.strerror or error}. Give a place that can be used.")
    except KeyboardInterrupt:
        console.print("Stopped. What is finished is kept: run the same command again to go on.", style="yellow")
        status = EXIT_INTERRUPTED
    sys.exit(status if isinstance(status, int) else 0)


def _usage(error: cyclopts.CycloptsError) -> str:
    """What is wrong with the options, in one line."""
    if isinstance(error, cyclopts.MissingArgumentError) and error.argument is not None:
        return f"{error.argument.name} is missing. See propainter --help for how to give it."
    if isinstance(error, cyclopts.UnusedCliTokensError):
        return f"There is nothing to do with {' '.join(error.unused_tokens or [])}. See propainter --help."
    return str(error).splitlines()[0]


def _fail(message: str) -> int:
    console.quiet = False
    console.print(f"error: {message}", style="red", markup=False, soft_wrap=True)
    return EXIT_BAD_INPUT


def _quieten_console() -> None:
    """Errors reach the user through us, in one line; Prefect's own account of them goes to its server."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _with_dashes(arguments: Sequence[str]) -> list[str]:
    """--mask_dilation=4 as --mask-dilation=4: the guide writes underscores."""
    written = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        written.append(name.replace("_", "-") + equals + value if name.startswith("--") else argument)
    return written


def _nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """{"masks.dilation": 4} as {"masks": {"dilation": 4}}, without what was not given."""
    nested: dict[str, Any] = {}
    for path, value in options.items():
        if value is not None:
            *sections, name = path.split(".")
            inner = nested
            for section in sections:
                inner = inner.setdefault(section, {})
            inner[name] = value
    return nested


def _place(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else text


def _require_demo_folder(folder: Path) -> None:
    """The demo replaces what an earlier demo made, and nothing else."""
    ours = ("sample.mp4", "masks", "result.mp4", "result.mp4.report")
    if not folder.is_dir():
        if folder.exists():
            raise OutputError(f"{folder} is a file. Give a folder for the demo.")
        return
    foreign = [path for path in folder.iterdir() if path.name not in ours]
    if (folder / "masks").is_dir():
        foreign += [path for path in (folder / "masks").iterdir() if not re.fullmatch(r"000[0-7]\d\.png", path.name)]
    elif (folder / "sample.mp4").exists():
        foreign.append(folder / "sample.mp4")
    if foreign:
        raise OutputError(f"{foreign[0]} is not the demo's. Give another folder.")


def _limit_threads(threads: int | None) -> None:
    """Before the numeric libraries are imported: they read the environment once."""
    if threads is None:
        return
    if not 1 <= threads <= 1024:
        raise SettingsError(f"threads is {threads}. Give 1 to 1024.")
    os.environ.update(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), OPENCV_FOR_THREADS_NUM=str(threads))


def _require_readable(video: Path, mask: Path) -> None:
    """The commonest slip, caught before a server is started for it."""
    if not video.exists():
        raise MediaError(f"There is no video {video}. Give a file, or a folder of images.")
    if not mask.exists():
        raise MaskError(f"There is no mask {mask}. Give an image, a folder of images or a video.")


def _bytes_of(size: str | None) -> int | None:
    if size is None:
        return None
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)\s*([KMGT]?)B?", size.strip(), re.IGNORECASE)
    if match is None:
        raise SettingsError(f"{size!r} is no size. Give bytes, or a number with KB, MB, GB or TB.")
    units = ("", "K", "M", "G", "T")
    return int(float(match[1]) * 1000 ** units.index(match[2].upper()))


def _size_text(size_bytes: int | None) -> str:
    if size_bytes is None:
        return ""
    return decimal(size_bytes)


def _say_status(status: ServerStatus | None) -> None:
    if status is None:
        out.print("No workflow server is running.")
    else:
        stays = "stays until `propainter server stop`" if status.keep else "stops with its last run"
        out.print(f"{status.api_url.removesuffix('/api')} ({stays}; log in {status.log})", markup=False, soft_wrap=True)


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
    """--dry-run: what is cached, what would run, and what it would take on disk."""
    from flows.inpaint import demand_of, prepare, projected_bytes
    from flows.record import Tally

    run = prepare(inputs, place, settings, cache=root, devices=devices, weights=weights, verify_weights=verify_weights)
    demanded = demand(run.plan, lambda _, asked: asked) if fresh else demand_of(run)
    tally = Tally()
    tally.planned(run.plan, demanded)
    table = Table("stage", "frames to compute", "in the cache")
    for stage, frames in tally.frames_to_compute.items():
        table.add_row(stage, str(frames), str(tally.frames_reused[stage]))
    out.print(table)
    for notice in run.inputs.notices:
        out.print(notice, markup=False, soft_wrap=True)
    needed = projected_bytes(run.plan, demanded.to_compute)
    out.print(
        f"{run.settings.engine} engine on {', '.join(run.devices)} at {inputs.geometry.width_px}x"
        f"{inputs.geometry.height_px}; about {decimal(needed)} of cache in {root}, "
        f"{decimal(maintenance.room(root))} free.",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    main()
