"""`propainter prepare`: folders of video to training data, and whether such data is still whole."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.commands.serving import prepare_for_prefect, workflow_server
from flows.commands.terminal import EXIT_SOME_FAILED, LogFormat, console, out, progress_in, text_of
from flows.configuration import nested
from flows.progress import listening
from propainter.core.errors import MediaError
from propainter.core.settings import Engine, Storage

if TYPE_CHECKING:
    from flows.prepare_training import Summary

EXIT_WRONG = 1


def prepare(
    root: Path | None = None,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    width: int = 432,
    height: int = 240,
    seed: int = 0,
    test_share: float = 0.1,
    engine: Engine | None = None,
    weights: Path | None = None,
    verify_weights: bool = True,
    raft_iter: int | None = None,
    storage: Storage = "fast",
    cache: Path | None = None,
    devices: str = "auto",
    num_workers: int | None = None,
    verify: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(negative="")] = False,
    log_format: LogFormat = "text",
    keep_server: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Make training data of the clips below ROOT: frames, holes, optical flow, lists. Run it again to go on.

    Status 3 where a clip could not be read; with --verify, status 1 where something is not what was made.

    Parameters
    ----------
    root
        YouTube-VOS or DAVIS layout, folders of frames, or video files. A test.json in it names the clips to test with.
    output
        Folder for the dataset. What an earlier run prepared, from this ROOT or another, stays in it.
    width
        Of the frames in pixels, a multiple of 8.
    height
        As --width.
    seed
        Another one draws other holes.
    test_share
        Part of the clips to test with, where ROOT has no test.json.
    engine
        Of the flow: propainter (RAFT), classical (DIS), or auto: propainter where its weights are installed.
    weights
        Folder of the three checkpoints; default PROPAINTER_WEIGHTS or the user's folder for data.
    verify_weights
        Refuse checkpoints that are not the released ones; --no-verify-weights for your own.
    raft_iter
        Updates of the optical flow (propainter).
    storage
        How frames and flow are kept: fast (read fastest), default (a third smaller), exact (flow as float32).
    cache
        Where they are kept; default inside the output.
    devices
        auto, cpu, cuda, or a list as cuda:0,cuda:1.
    num_workers
        Clips under way at a time; default one for each CPU.
    verify
        Check every file of OUTPUT and prepare nothing; the next run makes anew what is wrong.
    quiet
        Only errors and the last line.
    log_format
        Progress as text, or as one JSON object per line.
    keep_server
        Leave the workflow server running afterwards.
    """
    console.quiet = quiet
    if verify:
        return _verify(output)
    if root is None or not root.is_dir():  # before what takes seconds to import
        raise MediaError(f"There is no folder {root or 'ROOT'}. Give one that holds clips.")
    given: dict[str, Any] = {
        "root": str(root), "output": str(output), "width": width, "height": height, "seed": seed,
        "test_share": test_share, "cache": text_of(cache),
        "settings": nested({"engine": engine, "storage": storage, "estimate_flow.raft_iter": raft_iter}),
        "devices": devices, "weights": text_of(weights), "verify_weights": verify_weights,
    }  # fmt: skip
    listener = progress_in(log_format)
    with listening(listener):
        summary = _run(given, num_workers, keep_server=keep_server)
    _tell(summary, log_format)
    return EXIT_SOME_FAILED if summary.failed else 0


def _run(given: dict[str, Any], num_workers: int | None, *, keep_server: bool) -> "Summary":
    """Look at what there is first: where only the lists are to be written, no server is started and no flow run."""
    prepare_for_prefect()
    from flows.prepare_training import is_due, prepare_training

    if not is_due(**given):
        return prepare_training.fn(**given)
    with workflow_server(keep=keep_server) as server_answers:
        remember = server_answers()
        summary: Summary = prepare_training.with_options(on_running=[remember])(**given, num_workers=num_workers)
        return summary


def _tell(summary: "Summary", log_format: str) -> None:
    if log_format == "json":
        out.print(json.dumps(asdict(summary)), markup=False, soft_wrap=True)
        return
    for reasons in (summary.left_out, summary.failed):
        for name, reason in sorted(reasons.items()):
            out.print(f"{name}: {reason}", markup=False, soft_wrap=True)
    out.print(summary.line, markup=False, soft_wrap=True)


def _verify(output: Path) -> int:
    from tasks.prepare_verify import verify_dataset

    faults = verify_dataset(output.absolute())
    for fault in faults:
        out.print(f"{fault.what}: {fault.reason}", markup=False, soft_wrap=True)
    out.print(f"{len(faults)} faults." if faults else "All of it is what was made.")
    return EXIT_WRONG if faults else 0
