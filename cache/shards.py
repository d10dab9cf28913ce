"""What one segment's file holds: a Zarr shard, or a blob; to bytes and back, and whether the bytes are still whole.

A shard ends in an index of (offset, length) per inner chunk and the index's crc32c; every inner chunk ends in its own.
A blob is its payload and a trailer of length, crc32c and a mark. Encoding and decoding are zarr-python's; the
checks read the file themselves, because zarr takes an absent chunk for one full of zeros.
"""

import errno
import os
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, MemoryStore, StorePath, WrapperStore

from cache.layout import ArraySpec, array_metadata, segment_name
from propainter.core.errors import MissingSegmentError
from propainter.core.frames import FrameRange

_INDEX_ENTRY_BYTES = 16
_CRC_BYTES = 4
_ABSENT = 2**64 - 1
_TRAILER = struct.Struct("<QI4s")
_BLOB_MARK = b"ppb1"


def crc32c(data: bytes | memoryview) -> int:
    return int(google_crc32c.value(bytes(data) if isinstance(data, memoryview) else data))


def encode_shard(spec: ArraySpec, array: NDArray[Any]) -> bytes:
    """The shard file of one segment; it depends on the frames and the layout, not on where the segment lies."""
    kept: dict[str, Buffer] = {}
    _array(spec.with_frames(len(array)), MemoryStore(kept))[...] = array
    return kept[segment_name(spec, 0)].to_bytes()


def read_frames(folder: Path, spec: ArraySpec, frames: FrameRange) -> NDArray[Any]:
    """Frames of an array whose segments are known to be there, decoding only the inner chunks asked for.

    Raises:
        MissingSegmentError: a shard went away meanwhile; never a fill value.
        Exception: whatever zarr-python says of bytes that it cannot decode or whose checksum is wrong.
    """
    array = _array(spec, _PresentOnly(LocalStore(folder, read_only=True)))
    return np.asarray(array[frames.start : frames.stop])


def encode_blob(payload: bytes) -> bytes:
    return payload + _TRAILER.pack(len(payload), crc32c(payload), _BLOB_MARK)


def decode_blob(data: bytes) -> bytes:
    """The payload of a file that data_fault found whole."""
    return data[: -_TRAILER.size]


def structure_fault(descriptor: int, size_bytes: int, spec: ArraySpec | None, frames: int) -> str | None:
    """What is wrong with a segment's file, from its last bytes alone; None where it is whole in structure."""
    tail_bytes = _TRAILER.size if spec is None else _index_bytes(spec)
    if size_bytes < tail_bytes:
        return f"{size_bytes} bytes are too few"
    try:
        tail = os.pread(descriptor, tail_bytes, size_bytes - tail_bytes)
    except OSError as error:
        return _read_fault(error)
    return _tail_fault(tail, size_bytes, spec, frames)


def content_fault(path: Path, spec: ArraySpec | None, frames: int) -> str | None:
    """As structure_fault, and every checksum.

    Raises:
        FileNotFoundError: there is no such file.
    """
    try:
        return data_fault(path.read_bytes(), spec, frames)
    except OSError as error:
        return _read_fault(error)


def data_fault(data: bytes, spec: ArraySpec | None, frames: int) -> str | None:
    """As content_fault, of a file's bytes."""
    tail_bytes = _TRAILER.size if spec is None else _index_bytes(spec)
    if len(data) < tail_bytes:
        return f"{len(data)} bytes are too few"
    tail = data[-tail_bytes:]
    fault = _tail_fault(tail, len(data), spec, frames)
    if fault:
        return fault
    view = memoryview(data)
    if spec is None:
        return None if crc32c(view[:-tail_bytes]) == _TRAILER.unpack(tail)[1] else "its checksum is wrong"
    for frame, (offset, length) in enumerate(_index(tail)[:frames].tolist()):
        chunk = view[offset : offset + length]
        if crc32c(chunk[:-_CRC_BYTES]) != int.from_bytes(chunk[-_CRC_BYTES:], "little"):
            return f"the checksum of its frame {frame} is wrong"
    return None


def _index_bytes(spec: ArraySpec) -> int:
    return _INDEX_ENTRY_BYTES * spec.segment_frames + _CRC_BYTES


def _index(tail: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(tail[:-_CRC_BYTES], dtype="<u8").reshape(-1, 2)


def _tail_fault(tail: bytes, size_bytes: int, spec: ArraySpec | None, frames: int) -> str | None:
    body_bytes = size_bytes - len(tail)
    if spec is None:
        length, _, mark = _TRAILER.unpack(tail)
        return None if mark == _BLOB_MARK and length == body_bytes else "its trailer is broken"
    if crc32c(tail[:-_CRC_BYTES]) != int.from_bytes(tail[-_CRC_BYTES:], "little"):
        return "the checksum of its index is wrong"
    index = _index(tail)
    if (index[:frames] == _ABSENT).any() or (index[frames:] != _ABSENT).any():
        return "its index does not hold its frames"
    end = 0
    for offset, length in sorted(index[:frames].tolist()):
        if offset != end or length <= _CRC_BYTES:
            return "its chunks do not tile the file"
        end += length
    return None if end == body_bytes else "its chunks do not tile the file"


def _read_fault(error: OSError) -> str:
    """A block that the disk cannot give back is a fault of the file; any other refusal is not, and is raised."""
    if error.errno != errno.EIO:
        raise error
    return "the disk cannot read it"


@lru_cache(maxsize=64)
def _metadata(spec: ArraySpec) -> Any:
    document: Any = array_metadata(spec)
    return zarr.AsyncArray(document, StorePath(MemoryStore())).metadata


def _array(spec: ArraySpec, store: Any) -> Any:
    # write_empty_chunks is not part of the metadata; without it a frame of zeros would leave no chunk.
    return zarr.Array(zarr.AsyncArray(_metadata(spec), StorePath(store), config={"write_empty_chunks": True}))


class _PresentOnly(WrapperStore[LocalStore]):
    """A folder in which what is not there is an error, where zarr would put the fill value."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        value = await super().get(key, prototype, byte_range)
        if value is None or len(value) == 0:
            raise MissingSegmentError(f"{key} is not there, or cut short. Run again: it is computed anew.")
        return value
