"""Turn folders of video into training data: frames, holes, flow, lists; only what is not there yet is made."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from cache.room import require_room
from flows.configuration import load_settings
from flows.dataset_run import MOST_IN_FLIGHT, DatasetRun, require_space
from flows.dataset_survey import DatasetSurvey, Request, survey_dataset
from flows.fan_out import reason_of, run_each
from flows.prefect_calls import refuse_to_loop, sealed
from flows.progress import progress
from flows.schedule import Future
from propainter.core.errors import OutputError, SettingsError, StoreError
from propainter.core.settings import ExtractFrames, Settings, Storage
from tasks.output import Output
from tasks.plan import Done
from tasks.prepare_clip import ClipJob, Target, prepare_clip
from tasks.prepare_layout import ClipFiles, read_records, split_lists
from tasks.prepare_lists import mark, write_lists
from tasks.prepare_survey import Survey, require_place, survey_clips

STORE = "store"
"""The dataset's own store, where no cache is named: the folder can be moved whole."""

FILES_SHARE = 0.4
"""Bytes of JPEG and masks over those of the frames, rounded up from real clips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run did, in clips. left_out: too short for a sample; failed: broken; both with reasons."""

    output: str
    train: int
    test: int
    frames: int
    prepared: int
    ready: int
    left_out: Mapping[str, str]
    failed: Mapping[str, str]

    @property
    def line(self) -> str:
        return (
            f"{self.output}: {self.train} clips to train with and {self.test} to test with, {self.frames} frames; "
            f"{self.prepared} prepared now, {self.ready} ready before, {len(self.left_out)} left out, "
            f"{len(self.failed)} failed."
        )


@flow(
    name="prepare-training",
    task_runner=ThreadPoolTaskRunner(max_workers=MOST_IN_FLIGHT),  # type: ignore[arg-type]
    persist_result=False,
)
def prepare_training(
    root: str,
    output: str,
    width: int = 432,
    height: int = 240,
    seed: int = 0,
    test_share: float = 0.1,
    settings: dict[str, Any] | None = None,
    cache: str | None = None,
    devices: str = "auto",
    num_workers: int | None = None,
    weights: str | None = None,
    verify_weights: bool = True,
) -> Summary:
    """Prepare every clip below root that is not prepared yet, and list all that are.

    Args:
        root: as `precompute_flow` takes it.
        output: the dataset's folder.
        width, height: of the frames, multiples of 8.
        seed: of the holes.
        test_share: of the clips, where root has no test.json.
        settings: of the flow, nested as `propainter.core.settings.Settings` is; storage is `fast` unless named.
        cache: where frames and flow are stored; None: inside the output.
        num_workers: clips prepared at a time; None: one for each CPU.
        devices, weights, verify_weights: as `precompute_flow` takes them.
    """
    refuse_to_loop()
    chosen = _chosen(settings)
    target = _target(root, output, width, height, seed, chosen.storage, cache)
    out = target.out
    with Output(path=out).locked():
        survey = survey_clips(Path(root), target, test_share=test_share)
        mark(target)
        frames = sum(survey.frames[job.name] for job in survey.due)
        require_room(target.store, int(frames * height * width * 3 * (1 + FILES_SHARE)), None)
        progress().planned({"prepare_clip": frames}, {"prepare_clip": 0})
        failed = dict(survey.failed) | dict(_prepare(survey, num_workers or os.cpu_count() or 1))
        records = {record.name: record for record in read_records(out)}
        options = {"devices": devices, "weights": weights, "verify_weights": verify_weights}
        flows, without_flow = _flows(target, records, {"settings": asdict(chosen), **options})
        failed |= without_flow
        listed = {name: record for name, record in records.items() if name in flows}
        write_lists(target, listed, flows, left_out=survey.left_out, failed=failed)
    return Summary(
        output=str(out),
        train=len(split_lists(listed)["train"]), test=len(split_lists(listed)["test"]),
        frames=sum(record.frames for record in listed.values()),
        prepared=len({job.name for job in survey.due} - failed.keys()),
        ready=len({job.name for job in survey.ready} - failed.keys()),
        left_out=survey.left_out, failed=failed,
    )  # fmt: skip


def is_due(
    root: str, output: str, *, width: int, height: int, seed: int, test_share: float, settings: dict[str, Any],
    cache: str | None, **of_the_flow: Any,
) -> bool:  # fmt: skip
    """Whether `prepare_training` has a clip to prepare or flow to compute; what else it does takes no server.

    Parameters and errors are its own; of_the_flow: devices, weights, verify_weights.
    """
    chosen = _chosen(settings)
    target = _target(root, output, width, height, seed, chosen.storage, cache)
    if survey_clips(Path(root), target, test_share=test_share).due:
        return True
    records = {record.name: record for record in read_records(target.out)}
    options = {"settings": asdict(chosen), **of_the_flow}
    return bool(records) and _survey_flow(target, records, options, lambda _: None).has_work


def _chosen(settings: dict[str, Any] | None) -> Settings:
    chosen = load_settings({"storage": "fast", **(settings or {})})
    if chosen.extract_frames != ExtractFrames():
        raise SettingsError("extract_frames has no meaning here: give width and height. Leave it out.")
    return chosen


def _target(root: str, output: str, width: int, height: int, seed: int, storage: Storage, cache: str | None) -> Target:
    out = Path(output).absolute()
    target = Target(
        out=out, store=out / STORE if cache is None else Path(cache).absolute(),
        height_px=height, width_px=width, seed=seed, storage=storage,
    )  # fmt: skip
    require_place(Path(root), target)
    return target


def _prepare(survey: Survey, in_flight: int) -> Iterator[tuple[str, str]]:
    """Make what is due; names and reasons of those that failed."""

    def submit(job: ClipJob) -> Future:
        return prepare_clip.submit(sealed(job))

    ended = run_each(survey.due, submit, in_flight=min(in_flight, MOST_IN_FLIGHT), stop_at=(OutputError, StoreError))
    for number, (job, outcome) in enumerate(ended):
        if isinstance(outcome, Done):
            progress().computed("prepare_clip", number, survey.frames[job.name])
        else:
            progress().note(f"{job.name}: {reason_of(outcome)}")
            yield job.name, reason_of(outcome)


def _flows(
    target: Target, records: Mapping[str, ClipFiles], options: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, str]]:
    """Flow of all prepared clips, as `precompute_flow` computes and keeps it: entries and failures by name."""
    if not records:
        return {}, {}
    survey = _survey_flow(target, records, options, progress().note)
    require_space(survey)
    failed = DatasetRun(survey).through().failed
    known = survey.index.load()
    flows = {name: known[name].flow for name in records if name in known and name not in failed}
    return (
        {name: digest for name, digest in flows.items() if digest is not None},
        {name: reason for name, reason in failed.items() if name in records},
    )


def _survey_flow(
    target: Target, records: Mapping[str, ClipFiles], options: Mapping[str, Any], note: Callable[[str], None]
) -> DatasetSurvey:
    survey = survey_dataset(Request(root=target.out, cache=target.store, **options), note)
    return replace(survey, work=tuple(work for work in survey.work if work.name in records))
