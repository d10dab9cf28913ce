"""`propainter evaluate`: options to the flow, figures to the terminal."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.commands.serving import workflow_server
from flows.commands.terminal import EXIT_SOME_FAILED, Cache, console, out, text_of
from flows.configuration import cache_folder, load_settings
from flows.progress import TerminalProgress, listening
from tasks.evaluate_inputs import pair_clips


def evaluate(
    results: Path | None = None,
    *,
    truth: Path,
    output: Annotated[Path, Parameter(alias="-o")],
    masks: Path | None = None,
    engine: Literal["propainter", "classical"] | None = None,
    preset: str | None = None,
    config: Path | None = None,
    hole: Literal["still", "moving"] = "moving",
    seed: int | None = None,
    ssim_window: int = 65,
    i3d: Path | None = None,
    weights: Path | None = None,
    verify_weights: bool = True,
    cache: Cache = None,
    devices: str = "auto",
    quiet: Annotated[bool, Parameter(negative="")] = False,
    keep_server: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Score RESULTS against the truth, or what an engine makes of the truth with holes in it.

    PSNR, SSIM, E_warp and, with --i3d, VFID; per clip and over all. Status 3 where a clip could not be scored.

    Parameters
    ----------
    results
        A folder with a video or a folder of images for each clip, by the truth's names; or one such clip.
    truth
        The frames without holes, in the same way, or in the YouTube-VOS or DAVIS layout.
    output
        Folder for the tables and the page, and for what the engine makes.
    masks
        Folder with each clip's masks by its name. For results: what counts as the hole.
    engine
        Run propainter or classical on the truth with holes, instead of scoring RESULTS.
    preset
        Settings of the engine by name; published is that of the paper's tables.
    config
        YAML file of settings for the engine.
    hole
        Where no masks are given, the engine gets a hole that stands still or moves.
    seed
        Draw other holes: a box or an ellipse of any size for each clip.
    ssim_window
        Side of SSIM's window in pixels; 65 is the published figures'.
    i3d
        TorchScript file of the network whose features VFID compares.
    weights
        Folder of the three checkpoints; default PROPAINTER_WEIGHTS or the user's folder for data.
    verify_weights
        Refuse checkpoints that are not the released ones; --no-verify-weights for your own.
    devices
        auto, cpu, cuda, or a list as cuda:0,cuda:1.
    quiet
        Only errors.
    keep_server
        Leave the workflow server running afterwards.
    """
    console.quiet = out.quiet = quiet
    settings = load_settings({}, preset=preset, config=config)
    with listening(TerminalProgress(console, out)):
        pair_clips(truth, results=results, masks=masks)  # a slip is answered before a server is started for it
        with workflow_server(keep=keep_server) as server_answers:
            remember = server_answers()
            from flows.evaluate import evaluate as flow

            done = flow.with_options(on_running=[remember])(
                str(truth), str(output), results=text_of(results), masks=text_of(masks), engine=engine,
                settings=asdict(settings), hole=hole, seed=seed, ssim_window=ssim_window, i3d=text_of(i3d),
                cache=str(cache_folder(cache)), devices=devices, weights=text_of(weights),
                verify_weights=verify_weights,
            )  # fmt: skip
    console.quiet = False
    for name, reason in done["failed"].items():
        console.print(f"{name} failed: {reason}", style="red", markup=False, soft_wrap=True)
    for note in done["notes"]:
        out.print(note, markup=False, soft_wrap=True)
    out.print(f"{done['summary']}\n{done['page']}", markup=False, soft_wrap=True)
    return EXIT_SOME_FAILED if done["failed"] else 0
