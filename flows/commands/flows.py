"""`propainter flows`: the optical flow of a dataset's clips; only what is new is computed."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from flows.commands.serving import prepare_for_prefect, workflow_server
from flows.commands.terminal import EXIT_SOME_FAILED, LogFormat, bytes_of, console, out, progress_in, text_of
from flows.configuration import nested
from flows.progress import Progress, listening
from propainter.core.errors import MediaError
from propainter.core.settings import Engine, Precision, Storage
from propainter.media.flo import FloType

if TYPE_CHECKING:
    from flows.dataset_run import Summary


def flows(
    root: Annotated[Path, Parameter(name=("--root", "--root-path"))],
    *,
    only: Annotated[Path | None, Parameter(name="--list")] = None,
    engine: Engine | None = None,
    weights: Path | None = None,
    verify_weights: bool = True,
    width: int | None = None,
    height: int | None = None,
    resize_ratio: float | None = None,
    raft_iter: int | None = None,
    flow_precision: Precision | None = None,
    storage: Storage | None = None,
    cache: Annotated[Path | None, Parameter(alias="--save-path")] = None,
    cache_size: str | None = None,
    devices: str = "auto",
    num_workers: int | None = None,
    rehash: Annotated[bool, Parameter(negative="")] = False,
    export_flo: Path | None = None,
    flo_dtype: FloType = "float16",
    import_flo: Path | None = None,
    quiet: Annotated[bool, Parameter(negative="")] = False,
    log_format: LogFormat = "text",
    keep_server: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Compute the optical flow of every clip below ROOT. Run it again, every night say: it computes what is new.

    Parameters
    ----------
    root
        YouTube-VOS or DAVIS layout, folders of frames, or video files.
    only
        JSON file that names the clips to work on, as train.json does.
    engine
        propainter (RAFT), classical (DIS, needs no weights), or auto: propainter where its weights are installed.
    weights
        Folder of the three checkpoints; default PROPAINTER_WEIGHTS or the user's folder for data.
    verify_weights
        Refuse checkpoints that are not the released ones; --no-verify-weights for your own.
    width
        Size of the flow in pixels, given together with --height; default each clip's own.
    height
        As --width.
    resize_ratio
        Scales that size.
    raft_iter
        Updates of the optical flow (propainter).
    flow_precision
        Arithmetic of the optical flow (propainter), fp32 unless asked.
    storage
        How flow is kept: default (1/64 pixel), fast (the same, less compressed), exact (float32).
    cache
        Folder for the flow; default PROPAINTER_CACHE or the platform's.
    cache_size
        Refuse to let the cache outgrow this, as 50GB.
    devices
        auto, cpu, cuda, or a list as cuda:0,cuda:1.
    num_workers
        Clips under way at a time; default two for each device.
    rehash
        Read every clip anew, whatever is remembered of it by its files' sizes and times.
    export_flo
        Folder that gets a folder of .flo files for each clip, named as the released training code names them.
    flo_dtype
        Type of exported files: float16 as in the released code, float32 as in Middlebury's format.
    import_flo
        Take the flow from such folders instead of computing it.
    quiet
        Only errors and the last line.
    log_format
        Progress as text, or as one JSON object per line.
    keep_server
        Leave the workflow server running afterwards.
    """
    console.quiet = quiet
    listener = progress_in(log_format)
    given: dict[str, Any] = {
        "root": str(root),
        "only": text_of(only),
        "cache": text_of(cache),
        "settings": nested({
            "engine": engine, "storage": storage, "extract_frames.width": width, "extract_frames.height": height,
            "extract_frames.resize_ratio": resize_ratio, "estimate_flow.raft_iter": raft_iter,
            "estimate_flow.precision": flow_precision,
        }),
        "devices": devices,
        "num_workers": num_workers,
        "weights": text_of(weights),
        "verify_weights": verify_weights,
        "rehash": rehash,
        "cache_size_bytes": bytes_of(cache_size),
        "export_flo": text_of(export_flo),
        "flo_dtype": flo_dtype,
        "import_flo": text_of(import_flo),
    }  # fmt: skip
    if not root.is_dir():  # before what takes seconds to import
        raise MediaError(f"There is no folder {root}. Give one that holds clips.")
    with listening(listener):
        summary = _run(given, listener, keep_server=keep_server)
    _tell(summary, log_format)
    return EXIT_SOME_FAILED if summary.failed else 0


def _run(given: dict[str, Any], listener: Progress, *, keep_server: bool) -> "Summary":
    """Look at the dataset first: where nothing is to do, no server is started and no flow run."""
    prepare_for_prefect()
    from flows.dataset_run import DatasetRun, Summary
    from flows.dataset_survey import Request, already_surveyed, survey_dataset
    from flows.parameters import request_from
    from flows.precompute_flow import precompute_flow

    survey = survey_dataset(request_from(Request, given, None), listener.note)
    if not survey.has_work:
        return DatasetRun(survey).summary()
    with workflow_server(keep=keep_server) as server_answers, already_surveyed(survey):
        summary: Summary = precompute_flow.with_options(on_running=[server_answers()])(**given)
        return summary


def _tell(summary: "Summary", log_format: str) -> None:
    if log_format == "json":
        out.print(json.dumps(asdict(summary)), markup=False, soft_wrap=True)
        return
    if summary.failed:
        table = Table("clip", "why it has no flow")
        for name, reason in sorted(summary.failed.items()):
            table.add_row(name, reason)
        out.print(table, markup=False)
    out.print(summary.line, markup=False, soft_wrap=True)
