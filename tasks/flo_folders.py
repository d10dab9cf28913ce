"""Flow to and from folders of .flo files, one for each clip, named as the released training code names them.

Imported flow has entries of its own, known by the files' content: no run takes it for flow that it computed.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from cache.digests import ClipRecord
from cache.layout import dequantise_flow, flow_spec
from propainter.core.errors import MediaError, OutputError, ShapeError
from propainter.core.frames import FrameRange
from propainter.core.settings import Settings
from propainter.media.dataset import Clip
from propainter.media.flo import FloType, encode_flo, flo_names, flo_size, read_flo
from tasks.estimate_flow import SEGMENT_PAIRS
from tasks.flow_storage import flow_type, to_storage
from tasks.plan import Done, SegmentInputs, open_store, plan_stage
from tasks.precompute_flow import ClipFlow, Share, commit
from tasks.stored import READ_AT_ONCE

EPOCH = 1

_MARK = ".exported"
"""Beside exported files: which entry they are, and in which type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportShare(Share):
    """A share whose flow is read from files. frame_names: without suffix, of the frames that it lies between."""

    frame_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One clip's flow and the folder that shall hold it."""

    flow: ClipFlow
    frame_names: tuple[str, ...]
    folder: Path
    dtype: FloType
    cache: Path


def flo_files(clip: Clip) -> list[Path]:
    """The .flo files of a clip whose path is a folder of them."""
    return sorted(path for path in clip.path.iterdir() if path.suffix == ".flo" and not path.name.startswith("."))


def read_flo_folder(clip: Clip) -> ClipRecord:
    """Digest, length and size of a folder of .flo files.

    Raises:
        MediaError: there are none, or the first is none.
    """
    if not clip.path.is_dir() or not (files := flo_files(clip)):
        raise MediaError(f"{clip.path} holds no .flo files. Give flow for this clip, or leave it out with --list.")
    state = hashlib.blake2b(digest_size=20)
    for path in files:
        content = path.read_bytes()
        state.update(os.fsencode(path.name) + b"\0" + len(content).to_bytes(8, "big") + content)
    height_px, width_px = flo_size(files[0])
    return ClipRecord(
        stamp="", content_digest=state.hexdigest(),
        frames=len(files) // 2 + 1, height_px=height_px, width_px=width_px,
    )  # fmt: skip


def plan_import(clip: Clip, record: ClipRecord, stamp: str, frames: int, settings: Settings) -> ClipFlow:
    """The entry of a clip's imported flow.

    Args:
        clip: its path is the folder of .flo files.
        frames: how many the clip has.

    Raises:
        MediaError: there are more or fewer files than two per pair.
    """
    if record.frames != frames:
        raise MediaError(f"{clip.path} holds flow for {record.frames} frames, and the clip has {frames}. Make it anew.")
    pairs = FrameRange(0, frames - 1)
    plan = plan_stage(
        "estimate_flow",
        epoch=EPOCH,
        settings={"engine": "imported", "storage": flow_type(settings.storage)},
        tiles=[
            SegmentInputs(tile=tile, depends={"flo": record.content_digest, "pairs": str(tile.core)})
            for tile in pairs.tiles(SEGMENT_PAIRS)
        ],
        segment_frames=SEGMENT_PAIRS,
        upstream={},
        spec=flow_spec(len(pairs), record.height_px, record.width_px, SEGMENT_PAIRS, settings.storage),
    )
    return ClipFlow(clip=clip, stamp=stamp, settings=settings, plan=plan)


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="import_flo {share.flow.clip.name}")
def import_flo(share: ImportShare) -> Done:
    """Commit what is missing of these segments, from files."""
    return commit(share, _imported, flo_files)


def _imported(share: Share, segments: Sequence[int]) -> Iterator[tuple[int, NDArray[Any], float]]:
    assert isinstance(share, ImportShare)
    flow = share.flow
    assert flow.plan.spec is not None
    sides = flow.plan.spec.shape[3:]
    names = flo_names(share.frame_names)
    for index in segments:
        started = time.perf_counter()
        core = flow.plan.segments[index].tile.core
        read = np.empty((len(core), 2, 2, *sides), np.float32)
        for pair, place in zip(core, read, strict=True):
            for name, direction in zip(names[pair], place, strict=True):
                one = read_flo(flow.clip.path / name)
                if one.shape[1:] != sides:
                    raise ShapeError(f"{flow.clip.path / name} is of another size than the others. Make it anew.")
                if not np.isfinite(one).all():
                    raise MediaError(f"{flow.clip.path / name} holds NaN or infinity. Make it anew.")
                direction[...] = one
        yield index, to_storage(read, flow.settings.storage), time.perf_counter() - started


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="export_flo {export.flow.clip.name}")
def export_flo(export: Export) -> Done:
    """Write a clip's folder of .flo files, whole or not at all, in place of one that an earlier run wrote."""
    folder, started = export.folder, time.perf_counter()
    partial, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("partial", "replaced"))
    for left in (partial, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        written_bytes = _write_flo(export, partial)
        (partial / _MARK).write_text(_mark(export))
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror}). Free some space, or give another --export-flo folder."
        ) from error
    finally:
        for left in (partial, old):
            shutil.rmtree(left, ignore_errors=True)
    return Done(seconds=time.perf_counter() - started, bytes=written_bytes)


def _write_flo(export: Export, folder: Path) -> int:
    """Returns bytes."""
    plan, names, written_bytes = export.flow.plan, flo_names(export.frame_names), 0
    assert plan.spec is not None
    for tile in plan.spec.frames.tiles(READ_AT_ONCE):
        flow = dequantise_flow(open_store(export.cache).read(plan.key, tile.core))
        for pair, directions in zip(tile.core, flow, strict=True):
            for name, direction in zip(names[pair], directions, strict=True):
                written_bytes += (folder / name).write_bytes(encode_flo(direction, export.dtype))
    return written_bytes


def export_is_due(export: Export) -> bool:
    """False where the folder holds this very flow already.

    Raises:
        MediaError: it holds something that was not exported from here.
    """
    if not export.folder.exists():
        return True
    try:
        return (export.folder / _MARK).read_text() != _mark(export)
    except FileNotFoundError:
        raise MediaError(
            f"{export.folder} is there already and was not exported by this program. Give another --export-flo folder."
        ) from None


def _mark(export: Export) -> str:
    return f"{export.flow.plan.key.digest} {export.dtype}\n"
