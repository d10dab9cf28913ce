"""Score results, or an engine on clips with test holes, against the truth: clip by clip, then over all."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.task_runners import ThreadPoolTaskRunner

from flows.configuration import load_settings
from flows.dataset_run import NOT_THE_CLIPS_FAULT
from flows.evaluate_page import write_page
from flows.evaluate_tables import Evaluation, markdown, write_tables
from flows.inpaint import inpaint
from flows.prefect_calls import refuse_to_loop
from propainter.core.errors import OutputError, ProPainterError, SettingsError
from propainter.core.settings import Settings
from propainter.metrics.completion_task import HoleMotion
from propainter.metrics.ssim import PUBLISHED_WINDOW_PX
from propainter.metrics.vfid import frechet_distance, load_i3d
from tasks.devices import resolve_devices
from tasks.evaluate_inputs import EvaluatedClip, Pairs, pair_clips
from tasks.evaluate_prepare import DrawnHoles, prepare_clip
from tasks.evaluate_score import ScoredClip, score_clip
from tasks.weights import find_weights, weights_folder

SCORED_AT_ONCE = 2
"""Beside the engine, which goes on with the next clip meanwhile."""

MARKER = ".propainter-evaluation"
logger = logging.getLogger("propainter")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRun:
    """An engine, the holes it is given, and the options of `inpaint` beside the settings."""

    settings: Settings
    holes: DrawnHoles
    options: Mapping[str, Any]


@flow(
    name="evaluate",
    task_runner=ThreadPoolTaskRunner(max_workers=SCORED_AT_ONCE),  # type: ignore[arg-type]
    persist_result=False,
)
def evaluate(
    truth: str,
    output: str,
    results: str | None = None,
    masks: str | None = None,
    engine: Literal["propainter", "classical"] | None = None,
    settings: dict[str, Any] | None = None,
    hole: HoleMotion = "moving",
    seed: int | None = None,
    ssim_window: int = PUBLISHED_WINDOW_PX,
    i3d: str | None = None,
    cache: str | None = None,
    devices: str = "auto",
    weights: str | None = None,
    verify_weights: bool = True,
) -> dict[str, Any]:
    """Score a folder of results, or what an engine makes of the truth with holes in it.

    Args:
        truth, results, masks: as `tasks.evaluate_inputs.pair_clips` takes them. Without masks nothing is said of holes,
            but for an engine, which is given drawn ones.
        output: a folder of this evaluation's own.
        engine, settings, cache, devices, weights, verify_weights: as `inpaint` takes them.
        hole, seed: the drawn holes, as `propainter.metrics.completion_task.draw_holes` has them.
        ssim_window: side in pixels.
        i3d: TorchScript file of the network for VFID.

    Returns:
        The summary line, the page's path, and the clips that failed with their reasons.
    """
    refuse_to_loop()
    if (results is None) == (engine is None):
        raise SettingsError("Either results or an engine is scored. Give RESULTS, or --engine.")
    pairs = pair_clips(
        Path(truth).absolute(),
        results=None if results is None else Path(results).absolute(),
        masks=None if masks is None else Path(masks).absolute(),
    )
    network = None if i3d is None else Path(i3d).absolute()
    if network is not None:
        load_i3d(network)
    run = None
    if engine is not None:
        run = EngineRun(
            settings=load_settings({**(settings or {}), "engine": engine}),
            holes=DrawnHoles(motion=hole, seed=seed),
            options={"cache": cache, "devices": devices, "weights": weights, "verify_weights": verify_weights},
        )
        _require_runnable(run)
    folder = claim_folder(Path(output).absolute())
    scored, failed = _score(pairs, run, folder, ssim_window, network)
    failed |= dict.fromkeys(pairs.astray, f"there is no clip of this name in {truth}")
    for name, reason in failed.items():
        logger.warning("%s failed: %s", name, reason)
    vfid, notes = _vfid(scored) if network is not None else (None, ())
    evaluation = Evaluation(
        title=f"{results if run is None else _said(run, masks)} against {truth}",
        ssim_window_px=ssim_window,
        clips={name: clip.scores for name, clip in scored.items()},
        failed=failed,
        notes=notes + _left_out(pairs),
        vfid=vfid,
    )
    write_tables(evaluation, folder)
    page = write_page(evaluation, folder)
    create_markdown_artifact(markdown(evaluation), key="evaluation")
    return {"summary": evaluation.line(), "page": str(page), "failed": failed, "notes": evaluation.notes}


def claim_folder(folder: Path) -> Path:
    """Make the folder of an evaluation, or take the one that an earlier evaluation made.

    Raises:
        OutputError: it holds what is not an evaluation's.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file. Give a folder for the evaluation.")
    if folder.exists() and not (folder / MARKER).exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} holds files that no evaluation wrote. Give a folder of its own.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()
    return folder


def _require_runnable(run: EngineRun) -> None:
    """What would fail every clip alike fails before the first."""
    if run.settings.mode != "inpainting":
        raise SettingsError(f"mode is {run.settings.mode}. Only inpainting has a truth to compare with.")
    resolve_devices(run.options["devices"])
    if run.settings.engine == "propainter":
        find_weights(weights_folder(run.options["weights"]), verify=run.options["verify_weights"])


def _score(
    pairs: Pairs, run: EngineRun | None, folder: Path, ssim_window_px: int, i3d: Path | None
) -> tuple[dict[str, ScoredClip], dict[str, str]]:
    """What came of each clip, by name: its figures, or the reason why there are none."""
    scored, failed, futures = {}, {}, {}
    for clip in pairs.clips:
        try:
            if run is None:
                result, masks = pairs.results[clip.name], clip.masks
            else:
                result, masks = _fill(clip, run, folder / "clips" / clip.name.replace("/", "%2F"))
            futures[clip.name] = score_clip.submit(clip.name, clip.truth, result, masks, ssim_window_px, i3d)
        except NOT_THE_CLIPS_FAULT:
            raise
        except Exception as error:
            failed[clip.name] = _reason(error)
    for name, future in futures.items():
        try:
            scored[name] = future.result()
        except Exception as error:
            failed[name] = _reason(error)
    return scored, failed


def _fill(clip: EvaluatedClip, run: EngineRun, folder: Path) -> tuple[Path, Path]:
    """Run the engine on a clip's test holes; what an earlier evaluation computed is in the cache.

    Returns:
        The result and the masks.
    """
    extract = run.settings.extract_frames
    size_px = None if extract.height is None or extract.width is None else (extract.height, extract.width)
    video, masks = prepare_clip(clip, folder, size_px, run.holes)
    result = folder / "result"
    inpaint(str(video), str(masks), str(result), asdict(run.settings), overwrite=True, **run.options)
    return result, masks


def _reason(error: Exception) -> str:
    """One line on a clip that failed; a defect of ours leaves its traceback in the log."""
    if isinstance(error, ProPainterError | OSError):
        return str(error)
    logger.error("a clip could not be evaluated", exc_info=error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _said(run: EngineRun, masks: str | None) -> str:
    return f"Engine {run.settings.engine}, {masks or run.holes},"


def _left_out(pairs: Pairs) -> tuple[str, ...]:
    if not pairs.left_out:
        return ()
    others = f" and {len(pairs.left_out) - 1} more" if len(pairs.left_out) > 1 else ""
    return (f"Left out, being without a result or masks: {pairs.left_out[0]}{others}.",)


def _vfid(scored: Mapping[str, ScoredClip]) -> tuple[float | None, tuple[str, ...]]:
    features = [clip.features for clip in scored.values() if clip.features is not None]
    if len(features) < 2:
        return None, ("VFID is not measured: it compares at least two clips with the truth.",)
    results, truths = (np.stack(side) for side in zip(*features, strict=True))
    return frechet_distance(results, truths), ()
