"""`propainter bench`: the guide's two tables, measured on this machine."""

import re
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.commands.terminal import console, out
from flows.configuration import load_settings, preset_path
from propainter.core.errors import OutputError, SettingsError
from propainter.core.settings import Engine, Precision
from tasks.inspect_inputs import require_files

SIZES = ("320x240", "432x240", "640x480", "720x480", "1280x720")
PRESETS = ("draft", "balanced", "high", "ultra")
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "bf16")
Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")]


def bench(
    video: Path | None = None,
    *,
    frames: int = 16,
    sizes: Words = SIZES,
    presets: Words = PRESETS,
    engine: Engine = "auto",
    devices: str = "auto",
    weights: Path | None = None,
    verify_weights: bool = True,
    json: Path | None = None,
    plot: Path | None = None,
) -> int:
    """Measure speed, memory and quality here: by size and precision, and by preset.

    The first frames of VIDEO, or a drawn clip, get holes whose content is known, and are filled once for each row.

    Parameters
    ----------
    video
        A video file or a folder of images, without an object to remove; default a clip that is drawn.
    frames
        How many of its first frames.
    sizes
        Sizes to work on at, as 432x240 640x480.
    presets
        Presets by name.
    engine
        propainter, classical (no weights), or auto: propainter where its weights are installed.
    devices
        auto, cpu, cuda, or a list, of which the first device is measured.
    weights
        Folder of the three checkpoints; default PROPAINTER_WEIGHTS or the user's folder for data.
    verify_weights
        Refuse checkpoints that are not the released ones; --no-verify-weights for your own.
    json
        File for the figures.
    plot
        File for a picture of them, .svg.
    """
    _check(video, frames, sizes, presets, json, plot)
    from flows.bench import Case, measure_all
    from flows.bench_clip import make_clip
    from flows.bench_report import Bench, as_svg, presets_table, sizes_table
    from flows.manifest import publish_file
    from propainter.runtime.precision import has_precision
    from tasks.devices import resolve_devices
    from tasks.weights import are_installed, find_weights, weights_folder

    device, folder = resolve_devices(devices)[0], weights_folder(weights)
    if engine == "auto":
        engine = "propainter" if are_installed(folder) else "classical"
        if engine == "classical":
            console.print(
                f"There are no ProPainter weights in {folder}: engine classical is measured.",
                markup=False,
                soft_wrap=True,
            )
    if engine == "propainter":
        find_weights(folder, verify=verify_weights)
    precisions = [name for name in PRECISIONS if engine == "propainter" and has_precision(name, device)] or ["fp32"]
    with tempfile.TemporaryDirectory(prefix="propainter-bench-") as place:
        clip = make_clip(video, frames, Path(place))
        case = partial(Case, clip=clip, device=device, weights=folder, verify_weights=verify_weights)
        by_size, refused = measure_all(
            [
                case(name=f"{size} {precision}", settings=load_settings(_at(size, precision, engine)))
                for size in sizes
                for precision in precisions
            ],
            _say,
        )
        by_preset, refused_presets = measure_all(
            [case(name=preset, settings=load_settings({"engine": engine}, preset=preset)) for preset in presets], _say
        )
    about = (
        f"Engine {engine} on {_said_of(device)}: the first {clip.frames} frames of {clip.name}, "
        f"{clip.width_px}x{clip.height_px}, one stage at a time."
    )
    measured = Bench(about=about, sizes=by_size, presets=by_preset, refused=refused | refused_presets)
    out.print(about, markup=False, soft_wrap=True)
    if by_size:
        out.print(sizes_table(by_size))
    if by_preset:
        out.print(presets_table(by_preset))
    for name, reason in measured.refused.items():
        out.print(f"{name} was not measured: {reason}", markup=False, soft_wrap=True)
    if json is not None:
        publish_file(measured.as_json().encode(), json)
    if plot is not None:
        publish_file(as_svg(measured).encode(), plot)
    return 0


def _say(name: str) -> None:
    console.print(f"Measuring {name}.", markup=False)


def _at(size: str, precision: Precision, engine: Engine) -> dict[str, object]:
    """Settings to work at this size."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
    if match is None:
        raise SettingsError(f"{size!r} is no size. Give width and height in pixels, as 432x240.")
    extract_frames = {"width": int(match[1]), "height": int(match[2])}
    return {"engine": engine, "precision": precision, "extract_frames": extract_frames}


def _check(
    video: Path | None,
    frames: int,
    sizes: Sequence[str],
    presets: Sequence[str],
    json: Path | None,
    plot: Path | None,
) -> None:
    """Refuse before minutes of measuring what would fail after them."""
    if video is not None:
        require_files(video, None)
    if not 2 <= frames <= 10_000:
        raise SettingsError(f"frames is {frames}. Give 2 to 10000.")
    for size in sizes:
        load_settings(_at(size, "fp32", "auto"))
    for preset in presets:
        preset_path(preset)
    for path, suffix in ((json, ".json"), (plot, ".svg")):
        if path is not None and path.suffix.lower() != suffix:
            raise OutputError(f"{path} is no name for this file. Give one that ends in {suffix}.")


def _said_of(device: str) -> str:
    import torch  # seconds to import: only when asked

    if device == "cpu":
        return f"the CPU (threads: {torch.get_num_threads()})"
    return torch.cuda.get_device_name(device)
