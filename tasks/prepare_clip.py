"""One clip of a training set: its frames as JPEG and its made-up holes, in the layout of the released trainer."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.layout import frames_spec
from propainter.core.errors import MediaError, OutputError, SettingsError
from propainter.core.frames import FrameRange
from propainter.core.geometry import MIN_SIDE_PX, SIDE_MULTIPLE_PX
from propainter.core.settings import Storage
from propainter.media.dataset import Clip, files_of, stamp_of
from propainter.media.hole_shapes import random_holes
from propainter.media.resize import resize_frames
from propainter.media.source import VideoSource, open_source
from tasks.plan import Done, SegmentInputs, StagePlan, open_store, plan_stage
from tasks.prepare_layout import (
    FRAMES_STAGE,
    SPLITS,
    ClipFiles,
    Split,
    digest_bytes,
    masks_folder,
    read_record,
    record_path,
    write_record,
)

EPOCH = 1
SEGMENT_FRAMES = 128
"""Most clips are one file; memory holds so many frames of a longer one."""

TILE_FRAMES = 32
"""Decoded frames in memory at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What holds for all clips of a dataset that is being prepared. store: where frames and flow go, decoded."""

    out: Path
    store: Path
    height_px: int
    width_px: int
    seed: int
    storage: Storage

    def __post_init__(self) -> None:
        for name, side_px in (("height", self.height_px), ("width", self.width_px)):
            if side_px < MIN_SIDE_PX or side_px % SIDE_MULTIPLE_PX:
                raise SettingsError(
                    f"{name} is {side_px}. Give a multiple of {SIDE_MULTIPLE_PX} pixels, at least {MIN_SIDE_PX}."
                )

    @property
    def frames_folder(self) -> str:
        return f"JPEGImages_{self.width_px}_{self.height_px}"

    def as_json(self) -> dict[str, int | str]:
        """As dataset.json has it: a store inside the dataset moves with it."""
        inside = self.store.is_relative_to(self.out)
        return {
            "height_px": self.height_px,
            "width_px": self.width_px,
            "seed": self.seed,
            "storage": self.storage,
            "store": str(self.store.relative_to(self.out) if inside else self.store),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipJob:
    """One clip to prepare. name: its folder's, in the dataset."""

    clip: Clip
    name: str
    split: Split
    target: Target

    @property
    def frames_folder(self) -> str:
        return f"{self.target.frames_folder}/{self.name}"

    @property
    def masks_folder(self) -> str:
        return f"{masks_folder(self.split)}/{self.name}"


def plan_frames(record: ClipFiles, target: Target) -> StagePlan:
    """The entry that holds a prepared clip's frames, decoded: a loader's worker reads it faster than JPEG."""
    clip = FrameRange(0, record.frames)
    return plan_stage(
        FRAMES_STAGE,
        epoch=EPOCH,
        settings={},
        tiles=[
            SegmentInputs(tile=tile, depends={"images": record.content_digest, "frames": str(tile.core)})
            for tile in clip.tiles(SEGMENT_FRAMES)
        ],
        segment_frames=SEGMENT_FRAMES,
        upstream={},
        spec=frames_spec(record.frames, target.height_px, target.width_px, 3, SEGMENT_FRAMES, target.storage),
    )


def is_prepared(job: ClipJob) -> bool:
    """Whether the clip's files are all there, and its source has not changed. No content is read."""
    record = read_record(job.target.out, job.name)
    if record is None or record.split != job.split or record.stamp != stamp_of(files_of(job.clip)).text:
        return False
    plan = plan_frames(record, job.target)
    return not any(record.strays(job.target.out)) and not open_store(job.target.store).missing(plan.key)


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="prepare_clip {job.name}")
def prepare_clip(job: ClipJob) -> Done:
    """Make the clip's files anew, and its record last. What fails leaves nothing.

    Raises:
        MediaError: the clip cannot be read.
        OutputError, StoreError: the dataset cannot be written.
    """
    started = time.perf_counter()
    record_path(job.target.out, job.name).unlink(missing_ok=True)
    remove_files(job)
    stamp = stamp_of(files_of(job.clip)).text
    digests: dict[str, str] = {}
    written_bytes = 0
    try:
        with open_source(job.clip.path) as video:
            for path, content in chain(_frames(job, video), _holes(job, video.info.frames)):
                _write(job.target.out / path, content)
                digests[path] = digest_bytes(content)
                written_bytes += len(content)
            frames, source_digest = video.info.frames, video.content_digest
        if stamp_of(files_of(job.clip)).text != stamp:
            raise MediaError(f"{job.clip.path} was changed while it was being read. Run again.")
        with open_source(job.target.out / job.frames_folder) as written:
            record = ClipFiles(
                name=job.name, split=job.split, frames=frames, stamp=stamp, source_digest=source_digest,
                content_digest=written.content_digest, files=digests,
            )  # fmt: skip
            _store_frames(job, record, written)
    except BaseException:
        remove_files(job)
        raise
    write_record(job.target.out, record)
    return Done(seconds=time.perf_counter() - started, bytes=written_bytes)


def _frames(job: ClipJob, video: VideoSource) -> Iterator[tuple[str, bytes]]:
    for tile in FrameRange(0, video.info.frames).tiles(TILE_FRAMES):
        pictures = resize_frames(video.read(tile.core), job.target.height_px, job.target.width_px)
        for number, picture in zip(tile.core, pictures, strict=True):
            yield f"{job.frames_folder}/{number:05}.jpg", _encode(".jpg", picture[..., ::-1])


def _holes(job: ClipJob, frames: int) -> Iterator[tuple[str, bytes]]:
    """By the dataset's seed and the clip's name: another clip more or less changes no other's holes."""
    rng = np.random.default_rng([job.target.seed, *job.name.encode()])
    holes = random_holes(rng, frames, job.target.height_px, job.target.width_px)
    for number, hole in enumerate(holes):
        yield f"{job.masks_folder}/{number:05}.png", _encode(".png", hole * np.uint8(255))


def _store_frames(job: ClipJob, record: ClipFiles, written: VideoSource) -> None:
    plan, store = plan_frames(record, job.target), open_store(job.target.store)
    with store.lease([plan.key]):
        store.create(plan.key, plan.spec, plan.recipe)
        for index in store.missing(plan.key):
            store.write(plan.key, index, written.read(plan.segments[index].tile.core))
        store.finish(plan.key)


def _write(path: Path, content: bytes) -> None:
    """In place: until the clip's record is there, nothing of it counts."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}). Mend that, and run again to go on.") from error


def _encode(suffix: str, picture: NDArray[np.uint8]) -> bytes:
    """A picture as OpenCV has it (blue first) in the format that the suffix names."""
    encoded, content = cv2.imencode(suffix, picture)
    assert encoded
    return content.tobytes()


def remove_files(job: ClipJob) -> None:
    for folder in (job.frames_folder, *(f"{masks_folder(split)}/{job.name}" for split in SPLITS)):
        shutil.rmtree(job.target.out / folder, ignore_errors=True)
