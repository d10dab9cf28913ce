"""Committed frames for loaders that read at random all day: what was looked at once is remembered.

After a shard's index a frame is one read of the file, one checksum and one call of Blosc. The numbers are those of
`Store.read`. What differs: nothing is moved or mended here, so any number of processes
may read a store that they cannot write. What is missing or broken is an error that names the file, never a fill value.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import blosc  # type: ignore[import-untyped]
from numpy.typing import NDArray

from cache.entry import read_key, read_spec
from cache.layout import entry_folder, segment_name
from cache.shards import decode_chunks, places_in
from propainter.core.errors import CorruptSegmentError, MissingSegmentError, ShapeError, StoreError


def decode_in_one_thread() -> None:
    """For a process that is one of several loaders: Blosc's own threads would only take the others' cores."""
    blosc.use_threads = False


class EntryReader:
    """Frames of one entry's array, by number. Small, and picklable: what it remembers of the files stays behind.

    Raises:
        MissingSegmentError: there is no such entry, or its own files do not vouch for it.
        StoreError: it holds blobs.
    """

    def __init__(self, root: Path, stage: str, digest: str) -> None:
        self.folder = entry_folder(root, stage, digest)
        spec = read_spec(self.folder, read_key(self.folder))
        if spec is None:
            raise StoreError(f"{stage} holds blobs, not an array ({self.folder}). Use Store.read_blob.")
        self.spec = spec
        self._places: dict[int, tuple[int, NDArray[np.uint64]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_places": {}}

    def read(self, frames: Sequence[int]) -> NDArray[Any]:
        """Frames in the order asked for, (n, *spec.shape[1:]), as they were written.

        Raises:
            MissingSegmentError: a segment is not committed.
            CorruptSegmentError: a segment's file does not hold what was written.
            ShapeError: a frame that the array does not have.
        """
        if any(not 0 <= frame < self.spec.shape[0] for frame in frames):
            raise ShapeError(f"{self.folder} holds frames {self.spec.frames}, not all of {list(frames)}.")
        read = np.empty((len(frames), *self.spec.shape[1:]), self.spec.dtype)
        by_segment: dict[int, list[int]] = {}
        for position, frame in enumerate(frames):
            by_segment.setdefault(frame // self.spec.segment_frames, []).append(position)
        for segment, positions in by_segment.items():
            first = self.spec.segment(segment).start
            self._read_segment(segment, [(frames[at] - first, read[at]) for at in positions])
        return read

    def _read_segment(self, segment: int, wanted: list[tuple[int, NDArray[Any]]]) -> None:
        path = self.folder / segment_name(self.spec, segment)
        try:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                places = self._places_in(segment, descriptor)
                decode_chunks(descriptor, places, wanted)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            raise MissingSegmentError(f"{path} is not there. Run again what makes it: it is computed anew.") from None
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}. Look at the disk.") from error
        except ValueError as error:
            raise CorruptSegmentError(
                f"{path} is broken: {error}. `propainter cache verify` sets it aside; then run again what makes it."
            ) from error

    def _places_in(self, segment: int, descriptor: int) -> NDArray[np.uint64]:
        """The index of a segment's file, from memory while it is still that file."""
        inode = os.fstat(descriptor).st_ino
        known = self._places.get(segment)
        if known is None or known[0] != inode:
            known = self._places[segment] = (inode, places_in(descriptor, self.spec, len(self.spec.segment(segment))))
        return known[1]
