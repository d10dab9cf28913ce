"""Results on disk: written once, read whole or not at all, and what of them is still missing.

The files themselves are the truth: a segment is done when its file is at its place and whole in structure. Nothing
here computes. Safe for several threads, and for several processes on one disk; whatever dies at whatever moment,
a segment is there entirely or not at all.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from cache.entry import Listed, header_fault, publish_header, read_manifest, read_spec, write_manifest
from cache.journal import record_commit
from cache.keys import StageKey, digest_of
from cache.layout import (
    HEADER,
    MANIFEST,
    RECIPE,
    ArraySpec,
    entry_folder,
    lease_file,
    pool_file,
    segment_name,
    version_folder,
)
from cache.publish import disk_errors, link, make_folder, publish, repair_lock, set_aside
from cache.shards import Look, decode_blob, encode_blob, encode_shard, look, read_frames
from propainter.core.errors import CorruptSegmentError, MissingSegmentError, ShapeError, StoreError
from propainter.core.frames import FrameRange, tiles_reaching
from propainter.core.locks import lock, try_lock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Segment:
    """One segment of one entry: its file, what that must hold, and the name of that content in the pool."""

    key: StageKey
    index: int
    spec: ArraySpec | None
    path: Path
    pool: Path

    @property
    def frames(self) -> int:
        return 1 if self.spec is None else len(self.spec.segment(self.index))

    def __str__(self) -> str:
        return f"segment {self.index} of {self.key.stage} ({self.path})"


class Store:
    """A cache under one root.

    computed and adopted count, by stage, the segments that this object committed, and those it took over from
    other entries because all that they depend on is the same.

    Raises:
        StoreError: root cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.computed: Counter[str] = Counter()
        self.adopted: Counter[str] = Counter()
        self._counting = Lock()
        self._specs: dict[Path, tuple[tuple[int, ...], ArraySpec | None]] = {}
        with disk_errors(root):
            for name in (version_folder(root).name, ".tmp", ".trash", ".quarantine", ".lease"):
                folder = root / name
                make_folder(folder)
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise PermissionError(13, "Permission denied", str(folder))

    def create(self, key: StageKey, spec: ArraySpec | None, recipe: Mapping[str, object]) -> None:
        """Make the entry ready to be written and read; it may be there already, from this run or an older one.

        An entry whose zarr.json or recipe.json is lost, or not what spec says, is set aside whole: nothing vouches
        any more for what its segments hold. Those that the pool still knows come back through `missing`.

        Args:
            spec: the array's layout; None for an entry of blobs.
            recipe: what the key was made of, for people to read; kept beside the array.

        Raises:
            StoreError, DiskFullError: the entry cannot be written.
        """
        if spec is not None and spec.segments != len(key.segments):
            raise ShapeError(f"{key.stage} has {len(key.segments)} keys for {spec.segments} segments.")
        folder = self._folder(key)
        with disk_errors(self.root):
            lease_file(self.root, key.stage, key.digest).touch()
            if header_fault(folder, key, spec):
                with repair_lock(self.root):
                    if header_fault(folder, key, spec):
                        set_aside(self.root, folder)
            make_folder(folder)
            publish_header(self.root, folder, key, spec, recipe)

    def missing(self, key: StageKey, segments: Iterable[int] | None = None) -> list[int]:
        """Which of these segments (None: all) must still be computed, in order.

        A segment whose file is broken is moved to .quarantine. One that another entry holds under the same digest
        is taken over. Without `create`, everything is missing.
        """
        asked = range(len(key.segments)) if segments is None else sorted(set(segments))
        with disk_errors(self.root):
            try:
                spec = self._spec(key)
            except MissingSegmentError:
                return list(asked)
            return [index for index in asked if not self._present_or_adopted(self._segment(key, spec, index))]

    def would_miss(self, key: StageKey, spec: ArraySpec | None, segments: Iterable[int]) -> list[int]:
        """What `missing` would answer after a `create` with this spec; nothing on disk is changed."""
        with disk_errors(self.root):
            believed = header_fault(self._folder(key), key, spec) is None

            def is_there(target: _Segment) -> bool:
                names = (target.path, target.pool) if believed else (target.pool,)
                looks = (look(path, spec, target.frames) for path in names)
                return any(found is not None and found.fault is None for found in looks)

            return [index for index in sorted(set(segments)) if not is_there(self._segment(key, spec, index))]

    def read(self, key: StageKey, frames: FrameRange) -> NDArray[Any]:
        """Frames of an array, exactly as they were written; only the inner chunks asked for are decoded.

        Raises:
            MissingSegmentError: a segment is not committed. There is no fill value.
            CorruptSegmentError: a segment is broken; it is now in .quarantine, and missing.
            ShapeError: frames reach beyond the array.
        """
        with disk_errors(self.root):
            spec = self._array_spec(key)
            if frames.stop > spec.frames.stop:
                raise ShapeError(f"{key.stage} holds frames {spec.frames}, not {frames}.")
            read = np.empty((len(frames), *spec.shape[1:]), spec.dtype)
        for index in tiles_reaching(frames, spec.segment_frames):
            target, segment = self._segment(key, spec, index), spec.segment(index)
            part = segment.clip(frames)
            into = read[part.slice_in(frames)]
            self._read(target, partial(read_frames, target.path, spec, len(segment), part.start - segment.start, into))
        return read

    def write(self, key: StageKey, segment: int, frames: Iterable[NDArray[Any]]) -> bool:
        """Commit one segment of an array. False: another writer was first, and its segment stays.

        Args:
            frames: of the segment: an array of them, or one by one, so that they need not lie in memory together.

        Raises:
            ShapeError: frames are not what the entry's layout says of this segment.
            DiskFullError: no space; nothing is left behind.
            MissingSegmentError: the entry was not created.
        """
        spec = self._array_spec(key)
        target = self._segment(key, spec, segment)
        # Closed even where the disk is full: the error would keep the encoder's thread.
        with closing(encode_shard(spec, _checked(target, spec, frames))) as pieces:
            return self._commit(target, pieces)

    def read_blob(self, key: StageKey, segment: int) -> bytes:
        """One segment of an entry of blobs. Raises as `read`."""
        with disk_errors(self.root):
            target = self._blob_segment(key, segment)
            return self._read(target, lambda: decode_blob(target.path.read_bytes()))

    def write_blob(self, key: StageKey, segment: int, payload: bytes) -> bool:
        """Commit one segment of an entry of blobs. Returns and raises as `write`."""
        return self._commit(self._blob_segment(key, segment), [encode_blob(payload)])

    def finish(self, key: StageKey, segments: Iterable[int] | None = None) -> None:
        """Write the manifest: size and crc32c of each of these segments (None: all), beside those it lists already.

        Only the end of each file is read.

        Raises:
            MissingSegmentError: one of them is not committed.
            CorruptSegmentError: one of them is broken; it is now in .quarantine, and missing.
        """
        asked = range(len(key.segments)) if segments is None else set(segments)
        with disk_errors(self.root):
            spec = self._spec(key)
            listed = self._still_listed(key, spec)
            for index in asked:
                listed[index] = Listed.of(index, self._require_whole(self._segment(key, spec, index)))
            write_manifest(self.root, self._folder(key), key, [listed[index] for index in sorted(listed)])

    def is_finished(self, key: StageKey) -> bool:
        """Whether the manifest lists every segment; the segments themselves are not looked at."""
        with disk_errors(self.root):
            listed = read_manifest(self._folder(key)) or ()
        return {item.segment for item in listed} == set(range(len(key.segments)))

    @contextmanager
    def lease(self, keys: Iterable[StageKey]) -> Iterator[None]:
        """Keep gc away from these entries until the block or the process ends.

        They need not exist yet: take the lease first, then ask what is missing.
        """
        with ExitStack() as held:
            for key in keys:
                path = lease_file(self.root, key.stage, key.digest)
                with disk_errors(self.root):
                    descriptor = lock(path, shared=True)
                    held.callback(os.close, descriptor)
                    os.utime(descriptor)
            yield

    def discard(self, key: StageKey, spec: ArraySpec | None) -> None:
        """Forget an entry and what the pool knows of its segments; other entries keep what they share with it.

        Raises:
            StoreError: a run holds a lease on it.
        """
        folder = self._folder(key)
        with disk_errors(self.root):
            descriptor = try_lock(lease_file(self.root, key.stage, key.digest))
            if descriptor is None:
                raise StoreError(f"{folder} is in use by another run. Wait for it, or run without --fresh.")
            try:
                for index in range(len(key.segments)):
                    self._segment(key, spec, index).pool.unlink(missing_ok=True)
                if folder.exists():
                    trash = self.root / ".trash" / f"{key.digest}-{uuid4().hex[:8]}"
                    folder.rename(trash)
                    shutil.rmtree(trash)
            finally:
                os.close(descriptor)

    def quarantine(self, key: StageKey, spec: ArraySpec | None, segment: int, inode: int) -> None:
        """Move a segment's file out of the entry, the manifest with it, and its name in the pool.

        inode says which file was found bad: one that has been put right meanwhile stays.
        """
        target = self._segment(key, spec, segment)
        with disk_errors(self.root), repair_lock(self.root):
            # The pool first: after a crash between these steps nobody can adopt it.
            set_aside(self.root, target.pool, inode=inode)
            with suppress(FileNotFoundError):
                if target.path.stat().st_ino == inode:
                    set_aside(self.root, target.path.parent / MANIFEST)
                    set_aside(self.root, target.path)

    def _folder(self, key: StageKey) -> Path:
        return entry_folder(self.root, key.stage, key.digest)

    def _segment(self, key: StageKey, spec: ArraySpec | None, index: int) -> _Segment:
        if not 0 <= index < len(key.segments):
            raise ShapeError(f"{key.stage} has segments 0 to {len(key.segments) - 1}, not {index}.")
        layout: dict[str, object] = {}
        if spec is not None:
            layout = spec.with_frames(len(spec.segment(index))).as_json()
        return _Segment(
            key=key,
            index=index,
            spec=spec,
            path=self._folder(key) / segment_name(spec, index),
            pool=pool_file(self.root, key.stage, digest_of({"segment": key.segments[index], "layout": layout})),
        )

    def _spec(self, key: StageKey) -> ArraySpec | None:
        """As read_spec, which is asked again only when the entry's files have changed."""
        folder = self._folder(key)
        stamp: tuple[int, ...] = ()
        for name in (RECIPE, HEADER):
            with suppress(FileNotFoundError):
                status = (folder / name).stat()
                stamp += (status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._specs.get(folder)
        if known is None or known[0] != stamp:
            known = self._specs[folder] = (stamp, read_spec(folder, key))
        return known[1]

    def _array_spec(self, key: StageKey) -> ArraySpec:
        spec = self._spec(key)
        if spec is None:
            raise StoreError(f"{key.stage} holds blobs, not an array ({self._folder(key)}). Use read_blob.")
        return spec

    def _blob_segment(self, key: StageKey, segment: int) -> _Segment:
        if self._spec(key) is not None:
            raise StoreError(f"{key.stage} holds an array, not blobs ({self._folder(key)}). Use read.")
        return self._segment(key, None, segment)

    def _present_or_adopted(self, target: _Segment) -> bool:
        if self._is_whole(target, target.path):
            return True
        if self._is_whole(target, target.pool) and link(target.pool, target.path):
            with self._counting:
                self.adopted[target.key.stage] += 1
        return target.path.exists()

    def _is_whole(self, target: _Segment, path: Path) -> bool:
        """Whether path, one of the two names of a segment, holds it, by its end; what is broken is quarantined."""
        found = look(path, target.spec, target.frames)
        if found and found.fault:
            self.quarantine(target.key, target.spec, target.index, found.inode)
        return found is not None and found.fault is None

    def _require_whole(self, target: _Segment, *, content: bool = False) -> Look:
        found = look(target.path, target.spec, target.frames, content=content)
        if found is None:
            raise MissingSegmentError(f"{target} is not in the cache. Run again: it is computed anew.")
        if found.fault:
            self.quarantine(target.key, target.spec, target.index, found.inode)
            raise CorruptSegmentError(
                f"{target} is broken: {found.fault}. It was moved to {self.root / '.quarantine'}; "
                "run again, it is computed anew."
            )
        return found

    def _read(self, target: _Segment, decode: Callable[[], T]) -> T:
        self._require_whole(target)
        try:
            return decode()
        except Exception:
            # A decoder says much the same of broken bytes, of lost ones and of a process that is being shut down.
            self._require_whole(target, content=True)
            raise

    def _commit(self, target: _Segment, pieces: Iterable[bytes]) -> bool:
        with disk_errors(self.root):
            won = publish(self.root, target.path, pieces, pool=target.pool)
            if not won:
                return False
            record_commit(self.root, target.key.stage, target.key.digest, target.index)
        with self._counting:
            self.computed[target.key.stage] += 1
        return True

    def _still_listed(self, key: StageKey, spec: ArraySpec | None) -> dict[int, Listed]:
        """What of the manifest holds by the sizes of the files."""
        still = {}
        for item in read_manifest(self._folder(key)) or ():
            with suppress(FileNotFoundError, ShapeError):
                if self._segment(key, spec, item.segment).path.stat().st_size == item.size_bytes:
                    still[item.segment] = item
        return still


def _checked(target: _Segment, spec: ArraySpec, frames: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """The frames as they come, as long as they are what the segment takes."""
    shape, count = spec.shape[1:], 0
    takes = f"{target} takes {target.frames} frames of {spec.dtype} {shape}"
    for frame in frames:
        count += 1
        if frame.shape != shape or frame.dtype != spec.dtype or count > target.frames:
            raise ShapeError(f"{takes}; number {count} is of {frame.dtype} {frame.shape}.")
        yield frame
    if count < target.frames:
        raise ShapeError(f"{takes}, not {count} alone.")
