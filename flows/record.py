"""What a run leaves behind, gathered: counts by stage while it goes, then the manifest and the report."""

import importlib.metadata
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cache.keys import digest_of
from flows.manifest import (
    InputRecord,
    OutputRecord,
    RunRecord,
    StageStats,
    WeightsRecord,
    digest_output,
    write_manifest,
    wrote_output,
)
from flows.report import Moment, write_report
from flows.schedule import IO_STAGES
from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry, Pan
from propainter.media.kept_size import kept_margins, uncropped
from propainter.media.source import open_source
from propainter.models.checkpoints import KNOWN_CHECKPOINTS
from propainter.runtime.memory import MemorySample
from tasks.output import Output
from tasks.plan import STAGES, Demand, Done, Plan, Run, demand
from tasks.sources import read_holes
from tasks.weights import Weights

MOMENTS = 4
"""Frames shown in the report."""

PACKAGES = ("propainter-pipeline", "torch", "opencv-python-headless", "zarr", "prefect", "av", "numpy")


class Tally:
    """Counts of one run, stage by stage. A segment counts as reused where an earlier run, or another mask, left it."""

    def __init__(self) -> None:
        self.frames_to_compute: Mapping[str, int] = {}
        self.frames_reused: Mapping[str, int] = {}
        self._segments: Mapping[str, int] = {}
        self._needed: Counter[str] = Counter()
        self._computed: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._worked_s = 0.0

    def planned(self, plan: Plan, demanded: Demand) -> None:
        """Set a plan's needs, all of them, against what of it has to be computed."""
        everything = set(demand(plan, lambda _, asked: asked).to_compute)
        self._segments = {stage: len(plan[stage].segments) for stage in STAGES}
        self._needed = Counter(stage for stage, _ in everything)
        self.frames_to_compute = _frames(plan, set(demanded.to_compute))
        self.frames_reused = _frames(plan, everything - set(demanded.to_compute))

    def computed(self, stage: str, done: Done) -> None:
        self._computed[stage] += 1
        self._seconds[stage] += done.seconds  # type: ignore[assignment]
        self._bytes[stage] += done.bytes

    def worked(self, seconds: float) -> None:
        """So long it took from the first segment to the last."""
        self._worked_s += seconds

    def waited_share(self, devices: int) -> float | None:
        """Of the time from the first segment to the last, how much no device computed in; None: nothing was to do."""
        computing_s = sum(seconds for stage, seconds in self._seconds.items() if stage not in IO_STAGES)
        if not self._worked_s or not self._computed.total():
            return None
        return round(max(0.0, 1 - computing_s / (self._worked_s * devices)), 3)

    def stats(self) -> tuple[StageStats, ...]:
        return tuple(
            StageStats(
                stage=stage,
                segments_computed=self._computed[stage],
                segments_reused=max(0, self._needed[stage] - self._computed[stage]),
                segments_skipped=self._segments[stage] - self._needed[stage],
                seconds=round(float(self._seconds[stage]), 3),
                bytes=self._bytes[stage],
            )
            for stage in STAGES
        )


def _frames(plan: Plan, nodes: set[tuple[str, int]]) -> dict[str, int]:
    frames = dict.fromkeys(STAGES, 0)
    for stage, index in nodes:
        frames[stage] += len(plan[stage].segments[index].tile.core)
    return frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run went."""

    started: datetime
    ended: datetime
    stages: tuple[StageStats, ...]
    waited_share: float | None
    memory: tuple[MemorySample, ...]
    notices: tuple[str, ...]


def was_written_by_us(output: Output) -> bool:
    """Whether what stands there is what the manifest beside it says that a run wrote."""
    return wrote_output(output.report_folder, output.path)


def leave_record(run: Run, output: Output, outcome: Outcome) -> Path:
    """Write manifest.json and report.html beside the result. Returns the report's path."""
    inputs = run.inputs
    moments = _moments(run, output)
    height_px, width_px = moments[0].after.shape[:2]
    read = [InputRecord(role="video", path=str(inputs.video), digest=inputs.content_digest)]
    if inputs.mask is not None:
        read.append(InputRecord(role="mask", path=str(inputs.mask), digest=digest_of({"holes": inputs.hole_digests})))
    record = RunRecord(
        inputs=tuple(read),
        output=OutputRecord(
            path=str(output.path), digest=digest_output(output.path), frames=len(inputs.frames),
            height_px=height_px, width_px=width_px,
        ),
        engine=run.settings.engine,
        weights=_weights(run.weights),
        settings=asdict(run.settings),
        devices=run.devices,
        versions={"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in PACKAGES},
        started=outcome.started,
        ended=outcome.ended,
        wall_s=round((outcome.ended - outcome.started).total_seconds(), 3),
        peak_memory_bytes=max(sample.rss_bytes for sample in outcome.memory),
        notices=outcome.notices,
        stages=outcome.stages,
        waited_share=outcome.waited_share,
        memory=outcome.memory,
    )  # fmt: skip
    write_manifest(record, output.report_folder)
    return write_report(record, moments, output.report_folder)


def _weights(weights: Weights | None) -> tuple[WeightsRecord, ...]:
    if weights is None:
        return ()
    return tuple(
        WeightsRecord(
            file_name=file.file_name,
            sha256=weights.digest(file),
            licence=file.licence if weights.digest(file) == file.sha256 else None,
        )
        for file in KNOWN_CHECKPOINTS
    )


def _moments(run: Run, output: Output) -> tuple[Moment, ...]:
    """Frames spread over those that have a hole, or over all; read back from the result, which shows that it plays."""
    inputs = run.inputs
    chosen = _spread([frame for frame in inputs.clip if inputs.holed[frame]] or list(inputs.clip))
    moments = []
    with open_source(inputs.video, save_fps=run.settings.extract_frames.save_fps) as before, \
            open_source(output.path) as after:  # fmt: skip
        for frame in chosen:
            shown = after.read(FrameRange(frame, frame + 1))[0]
            in_source = inputs.frames.start + frame
            picture = before.read(FrameRange(in_source, in_source + 1))[0]
            (hole,) = read_holes(run, FrameRange(frame, frame + 1))
            geometry = inputs.geometry.at(in_source)
            region = uncropped(np.ones_like(hole), geometry) if geometry.crop else None
            moments.append(
                Moment(
                    frame=in_source,
                    time_s=float((inputs.info.times[in_source] - inputs.info.times[0]) * inputs.info.time_base),
                    before=_like(np.pad(picture, (*kept_margins(geometry), (0, 0))), shown),
                    hole=_like(uncropped(hole, geometry).astype(np.uint8), shown) > 0,
                    after=shown,
                    region=None if region is None else _like(region.astype(np.uint8), shown) > 0,
                    way=_way(inputs.geometry, shown),
                )
            )
    return tuple(moments)


def _way(geometry: Geometry, shown: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Where the middle of a region that pans lies in each frame, on a picture of the result."""
    if not isinstance(geometry.crop, Pan):
        return None
    middles = np.add(geometry.crop.places_px, (geometry.height_px / 2, geometry.width_px / 2))
    return (middles * shown.shape[:2] / (geometry.frame_height_px, geometry.frame_width_px))[:, ::-1]


def _spread(frames: list[int]) -> list[int]:
    picks = np.linspace(0, len(frames) - 1, 2 * MOMENTS + 1)[1::2] if len(frames) > MOMENTS else range(len(frames))
    return [frames[round(pick)] for pick in picks]


def _like(picture: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height_px, width_px = other.shape[:2]
    if picture.shape[:2] == (height_px, width_px):
        return picture
    return np.asarray(cv2.resize(picture, (width_px, height_px), interpolation=cv2.INTER_NEAREST), np.uint8)
