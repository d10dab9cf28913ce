"""Optical flow of every clip of a dataset, into the cache; only of clips that lack it."""

from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.task_runners import ThreadPoolTaskRunner

from flows.dataset_run import MOST_IN_FLIGHT, DatasetRun, Summary, require_space
from flows.dataset_survey import Request, survey_dataset
from flows.parameters import request_from
from flows.prefect_calls import refuse_to_loop
from flows.progress import progress
from propainter.media.flo import FloType


@flow(
    name="precompute-flow",
    task_runner=ThreadPoolTaskRunner(max_workers=MOST_IN_FLIGHT),  # type: ignore[arg-type]
    persist_result=False,
)
def precompute_flow(
    root: str | None = None,
    only: str | None = None,
    cache: str | None = None,
    settings: dict[str, Any] | None = None,
    devices: str | None = None,
    num_workers: int | None = None,
    weights: str | None = None,
    verify_weights: bool | None = None,
    rehash: bool | None = None,
    cache_size_bytes: int | None = None,
    export_flo: str | None = None,
    flo_dtype: FloType | None = None,
    import_flo: str | None = None,
    config: str | None = None,
) -> Summary:
    """Compute the optical flow of every clip of a dataset that the cache lacks.

    Args:
        root: folder of clips: YouTube-VOS or DAVIS layout, folders of frames, video files.
        only: JSON file that names the clips to work on.
        cache: the store's folder; None: PROPAINTER_CACHE or the platform's cache folder.
        settings: nested as `propainter.core.settings.Settings` is; what is not named keeps its default.
        devices: as `inpaint` takes them; None: auto.
        num_workers: clips under way at a time; None: two for each device.
        weights, verify_weights: as `inpaint` takes them.
        rehash: read every clip, whatever is remembered of it.
        cache_size_bytes: refuse to let the cache outgrow this.
        export_flo: folder that gets a folder of .flo files for each clip, in flo_dtype (None: float16).
        import_flo: folder of such folders: flow is taken from there, and none is computed.
        config: YAML file of these parameters; those given as well win over it.
    """
    refuse_to_loop()
    given = {
        "root": root, "only": only, "cache": cache, "settings": settings, "devices": devices,
        "num_workers": num_workers, "weights": weights, "verify_weights": verify_weights, "rehash": rehash,
        "cache_size_bytes": cache_size_bytes, "export_flo": export_flo, "flo_dtype": flo_dtype,
        "import_flo": import_flo,
    }  # fmt: skip
    survey = survey_dataset(request_from(Request, given, config), progress().note)
    require_space(survey)
    summary = DatasetRun(survey).through()
    get_run_logger().info(summary.line)
    create_table_artifact(
        [{"clip": name, "reason": reason} for name, reason in sorted(summary.failed.items())],
        key="precompute-flow",
        description=f"{summary.line} Clips that failed:",
    )
    return summary
