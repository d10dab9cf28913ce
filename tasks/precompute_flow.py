"""Flow of one clip of a dataset, straight from its frames: a task decodes, computes and commits a run of segments.

The entry is the one that a run of `inpaint` over the same clip with the same settings would make, so that either finds
the other's flow; the frames themselves are not kept. A segment is computed by the same call, and is the same bits.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.digests import ClipRecord
from propainter.core.errors import MediaError
from propainter.core.frames import FrameRange
from propainter.core.settings import Settings
from propainter.media.dataset import Clip, files_of, stamp_of
from propainter.media.source import open_source
from propainter.models.raft.network import LastFrame, Raft
from propainter.runtime.footprint import Portion
from propainter.stages.estimate_flow import estimate_flow as stage
from propainter.stages.extract_frames import extract_frames
from tasks import networks
from tasks.devices import lease
from tasks.estimate_flow import frames_of, memory_of, plan_estimate_flow, require_network_size
from tasks.extract_frames import plan_extract_frames
from tasks.flow_storage import to_storage
from tasks.footage import WholeClip
from tasks.inspect_inputs import geometry_of
from tasks.memory import Job, within_memory
from tasks.plan import Done, StagePlan, open_store
from tasks.weights import Weights

MOST_SEGMENTS = 8
"""Segments in one task: a clip of up to 129 frames is one, a longer one is spread over the devices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFlow:
    """The flow of one clip: where it comes from, and where it is kept. stamp: of the clip's files when it was read."""

    clip: Clip
    stamp: str
    settings: Settings
    plan: StagePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one task is given: segments of one clip, without a gap."""

    flow: ClipFlow
    segments: tuple[int, ...]
    cache: Path
    devices: tuple[str, ...]
    weights: Weights | None


def plan_clip(clip: Clip, record: ClipRecord, stamp: str, weights: Weights | None, settings: Settings) -> ClipFlow:
    """The clip's entry.

    Args:
        settings: with the engine decided.

    Raises:
        ShapeError: the clip is too small for the engine.
    """
    geometry = geometry_of(record.height_px, record.width_px, settings)
    if weights is not None:
        require_network_size(geometry)
    frames = WholeClip(content_digest=record.content_digest, geometry=geometry, clip=FrameRange(0, record.frames))
    extracted = {"extract_frames": plan_extract_frames(frames, settings)}
    plan = plan_estimate_flow(frames, settings, weights, extracted)
    return ClipFlow(clip=clip, stamp=stamp, settings=settings, plan=plan)


def shares_of(segments: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Cut rising segments into runs without gaps, of at most MOST_SEGMENTS."""
    run: list[int] = []
    for segment in segments:
        if run and (segment != run[-1] + 1 or len(run) == MOST_SEGMENTS):
            yield tuple(run)
            run = []
        run.append(segment)
    if run:
        yield tuple(run)


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="precompute_flow {share.flow.clip.name}")
def precompute_flow(share: Share) -> Done:
    """Compute and commit what is still missing of these segments."""
    return commit(share, _computed, files_of)


Produce = Callable[[Share, Sequence[int]], Iterator[tuple[int, NDArray[Any], float]]]
"""Per segment its flow as it is stored, and the seconds it took."""


def commit(share: Share, produce: Produce, files: Callable[[Clip], list[Path]]) -> Done:
    """Write what is missing of a share; whoever writes a clip's last segment completes its entry.

    files: those that the clip's flow is made from; while they are read they must not change.
    """
    flow, store = share.flow, open_store(share.cache)
    seconds, stored_bytes = 0.0, 0
    with store.lease([flow.plan.key]):
        store.create(flow.plan.key, flow.plan.spec, flow.plan.recipe)
        missing = store.missing(flow.plan.key, share.segments)
        for index, stored, took_s in produce(share, missing) if missing else ():
            if stamp_of(files(flow.clip)).text != flow.stamp:
                # The key says that it is the flow of what was hashed.
                raise MediaError(f"{flow.clip.path} was changed while it was being read. Run again.")
            store.write(flow.plan.key, index, stored)
            seconds, stored_bytes = seconds + took_s, stored_bytes + stored.nbytes
        if not store.missing(flow.plan.key):
            store.finish(flow.plan.key)
    return Done(seconds=seconds, bytes=stored_bytes)


def _computed(share: Share, segments: Sequence[int]) -> Iterator[tuple[int, NDArray[Any], float]]:
    settings = share.flow.settings
    estimate = settings.estimate_flow
    with open_source(share.flow.clip.path) as video:
        geometry = geometry_of(video.info.height_px, video.info.width_px, settings)
        frames = np.empty((0, geometry.height_px, geometry.width_px, 3), np.uint8)
        decoded_to, last = 0, LastFrame()
        for index in segments:
            needed = frames_of(share.flow.plan.segments[index].tile.core)
            goes_on = decoded_to > needed.start
            shared, last = (frames[-1:], last) if goes_on else (frames[:0], LastFrame())
            new = video.read(FrameRange(needed.start + len(shared), needed.stop))
            frames = np.concatenate((shared, extract_frames(new, geometry)))
            decoded_to = needed.stop
            with lease(share.devices) as held:
                raft = None if share.weights is None else networks.raft(share.weights, held.device, estimate.precision)
                job = Job(
                    frames=share.flow.plan.segments[-1].tile.core.stop + 1, height_px=geometry.height_px,
                    width_px=geometry.width_px, settings=settings, device=held.device,
                )  # fmt: skip
                started = time.perf_counter()
                flow, _ = within_memory(
                    job,
                    memory_of(job),
                    partial(_estimate, frames, raft, estimate.raft_iter, last),
                    sharing=len(share.devices),
                )
                seconds = time.perf_counter() - started
            yield index, to_storage(flow, settings.storage), seconds


def _estimate(
    frames: NDArray[np.uint8], raft: Raft | None, iterations: int, last: LastFrame, portion: Portion
) -> NDArray[np.float32]:
    return stage(frames, raft, iterations=iterations, flows_at_once=portion.at_once, last=last)
