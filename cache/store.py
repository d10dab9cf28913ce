"""Results on disk: written once, read whole or not at all, and what of them is still missing.

The files themselves are the truth: a segment is done when its file is at its place and whole in structure. Nothing
here computes. Safe for several threads, and for several processes on one disk; whatever dies at whatever moment,
a segment is there entirely or not at all.
"""

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
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
from cache.publish import disk_errors, link, locked, make_folder, publish, repair_lock, set_aside
from cache.shards import (
    content_fault,
    data_fault,
    decode_blob,
    encode_blob,
    encode_shard,
    read_frames,
    structure_fault,
)
from propainter.core.errors import CorruptSegmentError, MissingSegmentError, ShapeError, StoreError
from propainter.core.frames import FrameRange, tiles_reaching


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
        self._sound: set[tuple[int, ...]] = set()
        self._written: dict[tuple[int, ...], Listed] = {}
        self._headers: dict[Path, tuple[tuple[int, ...], tuple[ArraySpec | None]]] = {}
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
        header = self._header(key)
        if header is None:
            return list(asked)
        with disk_errors(self.root):
            return [index for index in asked if not self._present_or_adopted(self._segment(key, header[0], index))]

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
            parts = [
                self._read_part(self._segment(key, spec, index), spec, spec.segment(index).clip(frames))
                for index in tiles_reaching(frames, spec.segment_frames)
            ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty((0, *spec.shape[1:]), dtype=spec.dtype)

    def write(self, key: StageKey, segment: int, array: NDArray[Any]) -> bool:
        """Commit one segment of an array. False: another writer was first, and its segment stays.

        Raises:
            ShapeError: array is not what the entry's layout says of this segment.
            DiskFullError: no space; nothing is left behind.
            MissingSegmentError: the entry was not created.
        """
        spec = self._array_spec(key)
        target = self._segment(key, spec, segment)
        shape = (len(spec.segment(segment)), *spec.shape[1:])
        if array.shape != shape or array.dtype != spec.dtype:
            raise ShapeError(f"{target} takes {spec.dtype} {shape}, not {array.dtype} {array.shape}.")
        return self._commit(target, encode_shard(spec, array))

    def read_blob(self, key: StageKey, segment: int) -> bytes:
        """One segment of an entry of blobs. Raises as `read`."""
        with disk_errors(self.root):
            return decode_blob(self._whole(self._blob_segment(key, segment)))

    def write_blob(self, key: StageKey, segment: int, payload: bytes) -> bool:
        """Commit one segment of an entry of blobs. Returns and raises as `write`."""
        return self._commit(self._blob_segment(key, segment), encode_blob(payload))

    def finish(self, key: StageKey, segments: Iterable[int] | None = None) -> None:
        """Write the manifest: size and crc32c of each of these segments (None: all), beside those it lists already.

        Segments that this object did not write are read once and every checksum in them looked at.

        Raises:
            MissingSegmentError: one of them is not committed.
            CorruptSegmentError: one of them is broken; it is now in .quarantine, and missing.
        """
        asked = range(len(key.segments)) if segments is None else sorted(set(segments))
        header = self._header(key)
        if header is None:
            raise _not_created(key, self._folder(key))
        with disk_errors(self.root):
            before = self._still_listed(key, header[0])
            if before is not None and before.keys() >= set(asked):
                return
            listed = {index: self._listed(self._segment(key, header[0], index)) for index in asked}
            write_manifest(self.root, self._folder(key), key, list({**(before or {}), **listed}.values()))

    @contextmanager
    def lease(self, keys: Iterable[StageKey]) -> Iterator[None]:
        """Keep gc away from these entries until the block or the process ends.

        They need not exist yet: take the lease first, then ask what is missing.
        """
        with ExitStack() as held:
            for key in keys:
                path = lease_file(self.root, key.stage, key.digest)
                with disk_errors(self.root):
                    descriptor = locked(path, fcntl.LOCK_SH)
                    assert descriptor is not None
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
            descriptor = locked(lease_file(self.root, key.stage, key.digest), fcntl.LOCK_EX | fcntl.LOCK_NB)
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

    def _header(self, key: StageKey) -> tuple[ArraySpec | None] | None:
        """The layout as the entry's own files agree on it, in a tuple; None where they do not, or are not there."""
        folder = self._folder(key)
        try:
            stamp = _stamp((folder / RECIPE).stat())
            with suppress(FileNotFoundError):
                stamp += _stamp((folder / HEADER).stat())
        except FileNotFoundError:
            return None
        known = self._headers.get(folder)
        if known and known[0] == stamp:
            return known[1]
        header = read_spec(folder, key)
        if header is not None:
            self._headers[folder] = (stamp, header)
        return header

    def _array_spec(self, key: StageKey) -> ArraySpec:
        header = self._header(key)
        if header is None:
            raise _not_created(key, self._folder(key))
        if header[0] is None:
            raise StoreError(f"{key.stage} holds blobs, not an array ({self._folder(key)}). Use read_blob.")
        return header[0]

    def _blob_segment(self, key: StageKey, segment: int) -> _Segment:
        header = self._header(key)
        if header is None:
            raise _not_created(key, self._folder(key))
        if header[0] is not None:
            raise StoreError(f"{key.stage} holds an array, not blobs ({self._folder(key)}). Use read.")
        return self._segment(key, None, segment)

    def _present_or_adopted(self, target: _Segment) -> bool:
        inode, fault = self._fault(target, target.path)
        if fault:
            self.quarantine(target.key, target.spec, target.index, inode)
        elif inode:
            return True
        inode, fault = self._fault(target, target.pool)
        if fault:
            self.quarantine(target.key, target.spec, target.index, inode)
        elif inode and link(target.pool, target.path):
            with self._counting:
                self.adopted[target.key.stage] += 1
        return target.path.exists()

    def _fault(self, target: _Segment, path: Path) -> tuple[int, str | None]:
        """The inode of path (0: not there) and what is wrong with it; a file is looked into once per process."""
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return 0, None
        try:
            status = os.fstat(descriptor)
            stamp = (*_stamp(status), target.frames, 0 if target.spec is None else target.spec.segment_frames)
            if stamp in self._sound:
                return status.st_ino, None
            fault = structure_fault(descriptor, status.st_size, target.spec, target.frames)
        finally:
            os.close(descriptor)
        if fault is None:
            self._sound.add(stamp)
        return status.st_ino, fault

    def _require_present(self, target: _Segment) -> int:
        inode, fault = self._fault(target, target.path)
        if fault:
            raise self._corrupt(target, inode, fault)
        if not inode:
            raise _missing(target)
        return inode

    def _read_part(self, target: _Segment, spec: ArraySpec, frames: FrameRange) -> NDArray[Any]:
        inode = self._require_present(target)
        try:
            return read_frames(target.path.parent, spec, frames)
        except MissingSegmentError:
            self._require_present(target)
            raise
        except Exception as error:
            # A decoder says much the same of broken bytes and of a process that is being shut down: look again.
            with suppress(FileNotFoundError):
                fault = content_fault(target.path, spec, target.frames)
                if fault:
                    raise self._corrupt(target, inode, fault) from error
            raise

    def _corrupt(self, target: _Segment, inode: int, fault: str) -> CorruptSegmentError:
        self.quarantine(target.key, target.spec, target.index, inode)
        return CorruptSegmentError(
            f"{target} is broken: {fault}. It was moved to {self.root / '.quarantine'}; run again, it is computed anew."
        )

    def _commit(self, target: _Segment, data: bytes) -> bool:
        with disk_errors(self.root):
            won = publish(self.root, target.path, data, pool=target.pool)
            if not won:
                return False
            with suppress(FileNotFoundError):
                self._written[_stamp(target.path.stat())] = Listed.of(target.index, data)
            record_commit(self.root, target.key.stage, target.key.digest, target.index)
        with self._counting:
            self.computed[target.key.stage] += 1
        return True

    def _listed(self, target: _Segment) -> Listed:
        self._require_present(target)
        with suppress(FileNotFoundError):
            written = self._written.get(_stamp(target.path.stat()))
            if written is not None and written.segment == target.index:
                return written
        return Listed.of(target.index, self._whole(target))

    def _whole(self, target: _Segment) -> bytes:
        """A segment's file with every checksum in it looked at."""
        inode = self._require_present(target)
        try:
            data = target.path.read_bytes()
        except FileNotFoundError:
            raise _missing(target) from None
        fault = data_fault(data, target.spec, target.frames)
        if fault:
            raise self._corrupt(target, inode, fault)
        return data

    def _still_listed(self, key: StageKey, spec: ArraySpec | None) -> dict[int, Listed] | None:
        """What of the manifest holds by the sizes of the files; None: there is no manifest."""
        manifest = read_manifest(self._folder(key))
        if manifest is None:
            return None
        still = {}
        for item in manifest:
            with suppress(FileNotFoundError, ShapeError):
                if self._segment(key, spec, item.segment).path.stat().st_size == item.size_bytes:
                    still[item.segment] = item
        return still


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _missing(target: _Segment) -> MissingSegmentError:
    return MissingSegmentError(f"{target} is not in the cache. Run again: it is computed anew.")


def _not_created(key: StageKey, folder: Path) -> MissingSegmentError:
    return MissingSegmentError(f"{key.stage} has no entry of its own at {folder}. Run again: it is made anew.")
