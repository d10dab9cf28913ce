"""The work on a surveyed dataset: flow that is missing, files that are due, and what is remembered of it all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from prefect import Task

from cache.room import require_room, room
from flows.dataset_survey import ClipWork, DatasetSurvey, plan_work
from flows.fan_out import reason_of, run_each
from flows.planning import COMPRESSED_SHARE
from flows.prefect_calls import sealed
from flows.progress import progress
from flows.schedule import Future
from propainter.core.errors import (
    CorruptSegmentError,
    DeviceError,
    FlowRangeError,
    MediaError,
    MissingSegmentError,
    OutputError,
    StoreError,
    WeightsError,
)
from propainter.media.flo import flo_bytes
from tasks.flo_folders import ImportShare, export_flo, import_flo
from tasks.plan import Done, open_store
from tasks.precompute_flow import Share, precompute_flow, shares_of

Job = TypeVar("Job")

MOST_IN_FLIGHT = 64
"""Threads of the task runner; a run hands out less."""

CLIPS_PER_DEVICE = 2
"""One on the device, and one being decoded or written."""

NOT_THE_CLIPS_FAULT = (StoreError, WeightsError, DeviceError, OutputError)
"""Another clip would fare no better: these end the run."""

BROKEN_IN_THE_CACHE = (CorruptSegmentError, MissingSegmentError)
"""One clip's flow went bad while it was exported: it is set aside, and the next run computes it anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run did, in clips. failed: reasons by clip."""

    clips: int
    new: int
    changed: int
    removed: int
    computed: int
    reused: int
    exported: int
    segments_computed: int
    failed: Mapping[str, str]

    @property
    def line(self) -> str:
        return (
            f"{self.clips} clips: {self.computed} computed, {self.reused} in the cache already, "
            f"{self.exported} exported, {len(self.failed)} failed; "
            f"{self.new} new, {self.changed} changed, {self.removed} removed since the last run."
        )


def require_space(survey: DatasetSurvey) -> None:
    """Refuse, before it starts, a run that will not fit.

    Raises:
        StoreError, DiskFullError, OutputError: with what it needs and what there is.
    """
    needed_bytes, export_bytes = 0.0, 0
    for work in survey.work:
        spec = work.flow.plan.spec
        assert spec is not None
        needed_bytes += work.pairs(work.missing) * spec.frame_bytes * COMPRESSED_SHARE["estimate_flow"]
        if work.export is not None:
            pairs, _, _, height_px, width_px = spec.shape
            export_bytes += 2 * pairs * flo_bytes(height_px, width_px, work.export.dtype)
    require_room(survey.cache, int(needed_bytes), survey.request.cache_size_bytes)
    folder = survey.request.export_flo
    if folder is not None and export_bytes:
        free_bytes = room(folder)
        if _disk(folder) == _disk(survey.cache):
            free_bytes -= int(needed_bytes)
        if export_bytes > free_bytes:
            raise OutputError(
                f"the .flo files take {export_bytes / 1e9:.3g} GB, and {folder} has {free_bytes / 1e9:.3g} GB for "
                "them. Free some, or give another --export-flo folder."
            )


def _disk(folder: Path) -> int:
    """Which disk holds a folder that need not exist yet."""
    path = folder.absolute()
    return next(place for place in (path, *path.parents) if place.exists()).stat().st_dev


class DatasetRun:
    """One run over a surveyed dataset, and what became of its clips."""

    def __init__(self, survey: DatasetSurvey) -> None:
        self._survey = survey
        self._work = {work.name: work for work in survey.work}
        self._failed = dict(survey.failed)
        self._faults: dict[str, str] = {}
        self._computed: set[str] = set()
        self._exported: set[str] = set()
        self._segments = 0

    def through(self) -> Summary:
        """Compute, export, and remember what was learned, also where something ends the run early."""
        work = self._survey.work
        lacking = sum(each.pairs(each.missing) for each in work)
        to_export = sum(len(each.frame_names) - 1 for each in work if each.export)
        progress().planned(
            {"estimate_flow": lacking, "export_flo": to_export},
            {"estimate_flow": sum(each.record.frames - 1 for each in work) - lacking, "export_flo": 0},
        )
        try:
            too_wide = self._compute([each for each in work if each.missing])
            if too_wide:
                progress().note(f"Flow of {len(too_wide)} clips is too large for the compact type: kept as float32.")
                self._compute([self._widened(work) for work in too_wide])
            self._export()
        finally:
            self._remember()
        return self.summary()

    def summary(self) -> Summary:
        survey = self._survey
        sound = self._work.keys() - self._failed.keys()
        return Summary(
            clips=len(self._work.keys() | self._failed.keys()),
            new=len(survey.new), changed=len(survey.changed), removed=len(survey.removed),
            computed=len(sound & self._computed), reused=len(sound - self._computed),
            exported=len(self._exported), segments_computed=self._segments, failed=self._failed,
        )  # fmt: skip

    def _compute(self, lacking: Sequence[ClipWork]) -> list[ClipWork]:
        """Returns the clips whose flow is too large for the type that they were planned for."""
        task: Task[Any, Done] = precompute_flow if self._survey.request.import_flo is None else import_flo
        too_wide: dict[str, ClipWork] = {}
        for number, (share, outcome) in enumerate(self._each(self._shares(lacking), task)):
            name = share.flow.clip.name
            if isinstance(outcome, Done):
                self._computed.add(name)
                self._segments += len(share.segments)
                progress().computed("estimate_flow", number, self._work[name].pairs(share.segments))
            elif isinstance(outcome, FlowRangeError) and share.flow.settings.storage != "exact":
                too_wide[name] = self._work[name]
            else:
                self._fail(name, outcome)
        return list(too_wide.values())

    def _shares(self, lacking: Sequence[ClipWork]) -> Iterator[Share]:
        survey = self._survey
        for work in lacking:
            for segments in shares_of(work.missing):
                if survey.request.import_flo is None:
                    yield Share(
                        flow=work.flow, segments=segments, cache=survey.cache, devices=survey.devices,
                        weights=survey.weights,
                    )  # fmt: skip
                else:
                    yield ImportShare(
                        flow=work.flow, segments=segments, cache=survey.cache, devices=survey.devices, weights=None,
                        frame_names=work.frame_names,
                    )  # fmt: skip

    def _widened(self, work: ClipWork) -> ClipWork:
        settings = replace(work.flow.settings, storage="exact")
        record = replace(work.record, exact=True)
        wider = plan_work(record, work.frame_names, work.plan_with, self._survey.request, settings)
        self._work[work.name] = wider
        return wider

    def _export(self) -> None:
        due = [work.export for work in self._work.values() if work.export and work.name not in self._failed]
        for number, (export, outcome) in enumerate(self._each(due, export_flo)):
            name = export.flow.clip.name
            if isinstance(outcome, Done):
                self._exported.add(name)
                progress().computed("export_flo", number, len(export.frame_names) - 1)
            else:
                self._fail(name, outcome)

    def _each(self, jobs: Iterable[Job], task: Task[Any, Done]) -> Iterator[tuple[Job, Done | Exception]]:
        def submit(job: Job) -> Future:
            return task.submit(sealed(job))

        in_flight = self._survey.request.num_workers or CLIPS_PER_DEVICE * len(self._survey.devices)
        return run_each(jobs, submit, in_flight=in_flight, stop_at=NOT_THE_CLIPS_FAULT, but_not_at=BROKEN_IN_THE_CACHE)

    def _fail(self, name: str, error: Exception) -> None:
        reason = reason_of(error)
        self._failed.setdefault(name, reason)
        if isinstance(error, MediaError):
            self._faults.setdefault(name, reason)
        progress().note(f"{name}: {reason}")

    def _remember(self) -> None:
        """What the next run can do without: which entry holds a clip's flow, and which clips are broken."""
        store = open_store(self._survey.cache)
        learned = {}
        for before in self._survey.work:
            work = self._work[before.name]
            record = replace(work.record, fault=self._faults.get(work.name))
            if work.name not in self._failed and store.is_finished(work.flow.plan.key):
                record = replace(record, flow=work.flow.plan.key.digest)
            if record != before.record:
                learned[work.name] = record
        if learned:
            self._survey.index.update(learned)
