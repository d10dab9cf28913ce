"""Measure settings on this machine: one clip filled with each of them, and scored against what its holes hide.

The completion task of `propainter.metrics`. Each row is a process of its own, so that its memory is its own; it runs a
run's plan and tasks, segment by segment, without the workflow server and with one segment under way at a time.
"""

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.bench_clip import BenchClip, score
from flows.inpaint import TASKS
from flows.planning import demand_of, prepare
from propainter.core.errors import ProPainterError
from propainter.core.geometry import Geometry
from propainter.core.settings import Settings
from propainter.runtime.peak import peak_growth_bytes
from tasks.encode_video import join_pieces
from tasks.inspect_inputs import inspect_inputs
from tasks.output import Output
from tasks.projection import require_memory_for

WARM_UP_FRAMES = 2
"""Filled first and not timed: networks are loaded and libraries settle."""

_SPAWN = multiprocessing.get_context("spawn")
_CAN_MEASURE_RAM = Path("/proc/self/clear_refs").exists()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one row measures. settings: with the engine decided."""

    name: str
    clip: BenchClip
    settings: Settings
    device: str
    weights: Path
    verify_weights: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One row.

    height_px, width_px: at which it was worked on. peak_bytes: of the GPU's memory, or on a CPU of RAM beyond what an
    idle process holds; None: this system does not tell. hole_psnr_db, hole_ssim: at the clip's own size.
    """

    name: str
    precision: str
    height_px: int
    width_px: int
    seconds_per_frame: float
    peak_bytes: int | None
    hole_psnr_db: float
    hole_ssim: float


def measure_all(
    cases: Sequence[Case], begun: Callable[[str], None] = lambda _: None
) -> tuple[tuple[Measurement, ...], dict[str, str]]:
    """Measure one case after the other.

    Args:
        begun: told of each case's name when its turn comes.

    Returns:
        What was measured, and by name why the others were not.
    """
    measured: list[Measurement] = []
    refused: dict[str, str] = {}
    for case in cases:
        begun(case.name)
        try:
            with ProcessPoolExecutor(1, _SPAWN, signal.signal, (signal.SIGINT, signal.SIG_DFL)) as process:
                measured.append(process.submit(measure, case).result())
        except ProPainterError as error:
            refused[case.name] = str(error)
        except BrokenProcessPool:
            refused[case.name] = "the process was ended from outside, as it is where memory runs out."
    return tuple(measured), refused


def measure(case: Case) -> Measurement:
    """Fill the clip in this process, which should be a fresh one, and score what comes out.

    Raises:
        ProPainterError: the case cannot be run here.
    """
    filled: list[tuple[Geometry, float]] = []
    with TemporaryDirectory(dir=case.clip.folder) as place:
        folder = Path(place)

        def fill() -> None:
            extract = replace(case.settings.extract_frames, end=WARM_UP_FRAMES)
            _fill(replace(case, settings=replace(case.settings, extract_frames=extract)), folder / "warm")
            filled.append(_fill(case, folder / "result"))

        if case.device != "cpu" or _CAN_MEASURE_RAM:
            peak_bytes: int | None = peak_growth_bytes(fill, case.device)
        else:
            fill()
            peak_bytes = None
        hole_psnr_db, hole_ssim = score(case.clip, folder / "result")
    geometry, seconds = filled[0]
    return Measurement(
        name=case.name,
        precision=case.settings.precision if case.settings.engine == "propainter" else "fp32",
        height_px=geometry.height_px,
        width_px=geometry.width_px,
        seconds_per_frame=seconds / case.clip.frames,
        peak_bytes=peak_bytes,
        hole_psnr_db=hole_psnr_db,
        hole_ssim=hole_ssim,
    )


def _fill(case: Case, output: Path) -> tuple[Geometry, float]:
    """From decoding to a folder of PNG, by the tasks of a run in its order.

    Returns:
        The size worked at, and the stages' seconds as a run's report counts them: without waiting for a device that
        another run holds.
    """
    place = Output(path=output)
    inputs = inspect_inputs(case.clip.folder / "frames", case.clip.folder / "masks", case.settings)
    run = prepare(
        inputs, place, case.settings, cache=output.with_name(f"{output.name}-cache"), devices=case.device,
        weights=case.weights, verify_weights=case.verify_weights,
    )  # fmt: skip
    nodes = demand_of(run).to_compute
    require_memory_for(run, {stage for stage, _ in nodes})
    seconds = sum(TASKS[stage].fn(run, index).seconds for stage, index in nodes)
    join_pieces.fn(run, place, lambda *_: None)
    return run.inputs.geometry, seconds
