"""What the clips of a dataset are now, against what is remembered of them: only what changed is read again."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cache.digests import ClipRecord, DatasetIndex
from propainter.core.errors import MediaError
from propainter.media.dataset import Clip, Stamp, files_of, stamp_of
from propainter.media.source import open_source

SETTLED_S = 2.0
"""Files that changed later than this before they were read may change again without a sign: they are not remembered."""

SAVE_EVERY_S = 10.0
"""Between two savings of what was learned: as much is read again after a kill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """Every clip asked for, as it is now.

    records, stamps: by name. new, changed: since the last run; removed: of all that there were.
    """

    records: Mapping[str, ClipRecord]
    stamps: Mapping[str, str]
    new: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


ReadClip = Callable[[Clip], ClipRecord]
"""Looks into one clip; the stamp is put in by whoever calls."""


def look_at_clips(
    index: DatasetIndex,
    clips: Sequence[Clip],
    *,
    present: Collection[str],
    read: ReadClip,
    files: Callable[[Clip], list[Path]] = files_of,
    rehash: bool = False,
    reading: Callable[[int], None] = lambda clips: None,
) -> Looked:
    """Look at these clips, and remember what was learned.

    Args:
        present: names of all clips that are there, these or others; what is remembered of the rest is forgotten.
        read: a MediaError from it becomes the clip's fault.
        rehash: read all of them, whatever is remembered.
        reading: told, before the work, how many clips must be read.
    """
    remembered = index.load()
    stamps = {clip.name: _stamp(clip, files) for clip in clips}

    def unchanged(clip: Clip) -> bool:
        known = remembered.get(clip.name)
        return known is not None and known.stamp == stamps[clip.name].text

    to_read = [clip for clip in clips if rehash or not unchanged(clip)]
    if to_read:
        reading(len(to_read))
    records = {clip.name: remembered[clip.name] for clip in set(clips) - set(to_read)}
    removed = tuple(sorted(remembered.keys() - set(present)))
    new, changed = [], []
    learned: dict[str, ClipRecord] = {}
    saved_s = time.monotonic()
    for clip in to_read:
        before = remembered.get(clip.name)
        record = _read(clip, stamps[clip.name], read)
        if before is None:
            new.append(clip.name)
        elif (before.content_digest, before.fault) != (record.content_digest, record.fault):
            changed.append(clip.name)
        else:
            record = replace(record, exact=before.exact, flow=before.flow)
        records[clip.name] = learned[clip.name] = record
        if time.monotonic() - saved_s > SAVE_EVERY_S:
            index.update(learned)
            saved_s = time.monotonic()
    if learned or removed:
        index.update(learned, removed)
    return Looked(
        records=records,
        stamps={name: stamp.text for name, stamp in stamps.items()},
        new=tuple(new),
        changed=tuple(changed),
        removed=removed,
    )


def read_frames_of(clip: Clip) -> ClipRecord:
    """A clip of frames or a video: its content's digest, its length and size.

    Raises:
        MediaError: what is wrong with it, as far as that shows without decoding.
    """
    _require_text(clip.name)
    with open_source(clip.path) as source:
        info = source.info
        if info.frames < 2:
            raise MediaError(f"{clip.path} has one frame, and flow lies between two. Add frames, or take it out.")
        return ClipRecord(
            stamp="", content_digest=source.content_digest,
            frames=info.frames, height_px=info.height_px, width_px=info.width_px,
        )  # fmt: skip


def _read(clip: Clip, stamp: Stamp, read: ReadClip) -> ClipRecord:
    try:
        record = read(clip)
    except MediaError as error:
        record = ClipRecord(stamp="", fault=str(error))
    except OSError as error:
        # Whatever the disk refuses today it may give tomorrow: not remembered.
        return ClipRecord(stamp="", fault=f"{error.filename or clip.path}: {error.strerror or error}.")
    settled = time.time_ns() - stamp.newest_ns > SETTLED_S * 1e9
    return replace(record, stamp=stamp.text if settled else "")


def _stamp(clip: Clip, files: Callable[[Clip], list[Path]]) -> Stamp:
    try:
        return stamp_of(files(clip))
    except OSError:
        return Stamp(text="gone", newest_ns=time.time_ns())


def _require_text(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise MediaError(f"{name!a} is no name in UTF-8. Rename it.") from None
