"""What one segment's file holds: a Zarr shard, or a blob; to bytes and back, and whether the bytes are still whole.

A shard ends in an index of (offset, length) per inner chunk and the index's crc32c; every inner chunk ends in its own.
A blob is its payload and a trailer of length, crc32c and a mark. zarr-python encodes the chunks; they are put together
here, because zarr holds all of them in memory, and twice. Reading is done here, because zarr takes an absent chunk for
one full of zeros, and its event loop costs ten times a frame's decoding.
"""

import errno
import os
import struct
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numcodecs import blosc  # type: ignore[import-untyped]
from numpy.typing import NDArray
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore, StorePath

from cache.layout import ArraySpec, array_metadata, segment_name

_INDEX_ENTRY_BYTES = 16
_CRC_BYTES = 4
_BLOCK_BYTES = 1 << 20
_ENCODED_FRAMES = 2
"""At a time, side by side."""

_ABSENT = 2**64 - 1
_TRAILER = struct.Struct("<QI4s")
_BLOB_MARK = b"ppb1"
_BLOSC_SIZE = slice(4, 8)
"""Where a Blosc chunk's header says how many bytes come out of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look at a segment's file found. crc32c: the one at its end, of a shard's index or of a blob's payload."""

    inode: int
    size_bytes: int
    crc32c: int
    fault: str | None


def encode_shard(spec: ArraySpec, frames: Iterable[NDArray[Any]]) -> Generator[bytes]:
    """The shard file of one segment, piece by piece; it depends on the frames and the layout, not on where it lies.

    frames: of the segment, one by one; while some are encoded the next are asked for.
    """
    index = np.full((spec.segment_frames, 2), _ABSENT, "<u8")
    offset = 0
    for frame, chunk in enumerate(_chunks_of(spec, frames)):
        index[frame] = offset, len(chunk)
        offset += len(chunk)
        yield chunk
    yield index.tobytes()
    yield google_crc32c.value(index.tobytes()).to_bytes(_CRC_BYTES, "little")


def read_frames(path: Path, spec: ArraySpec, frames: int, first: int, into: NDArray[Any]) -> None:
    """Decode frames of one shard, and of its inner chunks only those.

    Args:
        frames: how many the shard holds.
        first: of the frames asked for, counted from the shard's first.
        into: what they are put into, one after the other.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: what is wrong with it; never a fill value.
    """
    with path.open("rb", buffering=0) as file:
        decode_chunks(file.fileno(), places_in(file.fileno(), spec, frames), enumerate(into, first))


def encode_blob(payload: bytes) -> bytes:
    return payload + _trailer(payload)


def decode_blob(data: bytes) -> bytes:
    """The payload of a blob's file.

    Raises:
        ValueError: the file is not whole.
    """
    payload = data[: -_TRAILER.size]
    if data[-_TRAILER.size :] != _trailer(payload):
        raise ValueError("the file of a blob is not whole")
    return payload


def look(path: Path, spec: ArraySpec | None, frames: int, *, content: bool = False) -> Look | None:
    """Whether a segment's file is whole; None: there is no such file.

    Args:
        frames: how many a shard must hold; of no account for a blob.
        content: check everything in it, and not its last bytes alone.
    """
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        return None
    with file:
        status, end = os.fstat(file.fileno()), b""
        body_bytes = status.st_size - _end_bytes(spec)
        try:
            if body_bytes >= 0:
                end = os.pread(file.fileno(), status.st_size - body_bytes, body_bytes)
            fault = _end_fault(end, status.st_size, spec, frames)
            if content and fault is None:
                fault = _content_fault(file.fileno(), end, body_bytes, spec, frames)
        except OSError as error:
            # A block that the disk cannot give back is a fault of the file; any other refusal is not.
            if error.errno != errno.EIO:
                raise
            fault = "the disk cannot read it"
    return Look(inode=status.st_ino, size_bytes=status.st_size, crc32c=_stated_crc32c(end, spec), fault=fault)


def places_in(descriptor: int, spec: ArraySpec, frames: int) -> NDArray[np.uint64]:
    """Where each inner chunk of an open shard lies, checked: (frames, 2), offset and length in bytes.

    Raises:
        ValueError: what is wrong with its index.
    """
    size_bytes = os.fstat(descriptor).st_size
    end_bytes = _end_bytes(spec)
    end = os.pread(descriptor, end_bytes, max(0, size_bytes - end_bytes))
    fault = _end_fault(end, size_bytes, spec, frames)
    if fault:
        raise ValueError(fault)
    return _index(end)[:frames]


def decode_chunks(descriptor: int, places: NDArray[np.uint64], wanted: Iterable[tuple[int, NDArray[Any]]]) -> None:
    """Read, check and decompress inner chunks of an open shard, each with what it is put into.

    Args:
        places: as places_in gave them.

    Raises:
        ValueError: what is wrong with one of them.
    """
    for frame, into in wanted:
        offset, length = places[frame].tolist()
        chunk = os.pread(descriptor, length, offset)
        data = memoryview(chunk)[:-_CRC_BYTES]
        if google_crc32c.value(chunk[:-_CRC_BYTES]) != int.from_bytes(chunk[-_CRC_BYTES:], "little"):
            raise ValueError(f"the checksum of its frame {frame} is wrong")
        if int.from_bytes(data[_BLOSC_SIZE], "little") != into.nbytes:
            raise ValueError(f"its frame {frame} is not of {into.nbytes} bytes")
        try:
            blosc.decompress(data, into)
        except RuntimeError as error:
            raise ValueError(f"its frame {frame} cannot be decompressed") from error


def _trailer(payload: bytes) -> bytes:
    return _TRAILER.pack(len(payload), google_crc32c.value(payload), _BLOB_MARK)


def _end_bytes(spec: ArraySpec | None) -> int:
    return _TRAILER.size if spec is None else _INDEX_ENTRY_BYTES * spec.segment_frames + _CRC_BYTES


def _index(end: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(end[:-_CRC_BYTES], dtype="<u8").reshape(-1, 2)


def _stated_crc32c(end: bytes, spec: ArraySpec | None) -> int:
    return int.from_bytes(end[8:12] if spec is None else end[-_CRC_BYTES:], "little")


def _end_fault(end: bytes, size_bytes: int, spec: ArraySpec | None, frames: int) -> str | None:
    if len(end) < _end_bytes(spec):
        return f"{size_bytes} bytes are too few"
    body_bytes = size_bytes - len(end)
    if spec is None:
        length, _, mark = _TRAILER.unpack(end)
        return None if mark == _BLOB_MARK and length == body_bytes else "its trailer is broken"
    if google_crc32c.value(end[:-_CRC_BYTES]) != _stated_crc32c(end, spec):
        return "the checksum of its index is wrong"
    index = _index(end)
    if (index[:frames] == _ABSENT).any() or (index[frames:] != _ABSENT).any():
        return "its index does not hold its frames"
    tiled_bytes = 0
    for offset, length in sorted(index[:frames].tolist()):
        if offset != tiled_bytes or length <= _CRC_BYTES:
            return "its chunks do not tile the file"
        tiled_bytes += length
    return None if tiled_bytes == body_bytes else "its chunks do not tile the file"


def _content_fault(descriptor: int, end: bytes, body_bytes: int, spec: ArraySpec | None, frames: int) -> str | None:
    if spec is None:
        whole = _crc32c_between(descriptor, 0, body_bytes) == _stated_crc32c(end, spec)
        return None if whole else "its checksum is wrong"
    for frame, (offset, length) in enumerate(_index(end)[:frames].tolist()):
        stop = offset + length - _CRC_BYTES
        stated = os.pread(descriptor, _CRC_BYTES, stop)
        if _crc32c_between(descriptor, offset, stop) != int.from_bytes(stated, "little"):
            return f"the checksum of its frame {frame} is wrong"
    return None


def _crc32c_between(descriptor: int, start: int, stop: int) -> int:
    """A block at a time: a segment may be larger than the memory that is left."""
    crc = 0
    for at in range(start, stop, _BLOCK_BYTES):
        crc = google_crc32c.extend(crc, os.pread(descriptor, min(_BLOCK_BYTES, stop - at), at))
    return crc


def _chunks_of(spec: ArraySpec, frames: Iterable[NDArray[Any]]) -> Iterator[bytes]:
    """Encoded in a thread of their own, so that whoever makes the frames goes on in the caller's."""
    rest = iter(frames)
    encoding: Future[list[bytes]] | None = None
    with ThreadPoolExecutor(max_workers=1) as encoder:
        while some := list(islice(rest, _ENCODED_FRAMES)):
            if encoding is not None:
                yield from encoding.result()
            encoding = encoder.submit(_encode_chunks, spec, np.stack(some))
            del some  # not to be held while the next are made
        if encoding is not None:
            yield from encoding.result()


def _encode_chunks(spec: ArraySpec, frames: NDArray[Any]) -> list[bytes]:
    """Inner chunks as zarr makes them of an array whose chunks they are."""
    kept: dict[str, Buffer] = {}
    metadata = _unsharded_metadata(spec.with_frames(len(frames)))
    # write_empty_chunks is not part of the metadata; without it a frame of zeros would leave no chunk.
    array = zarr.AsyncArray(metadata, StorePath(MemoryStore(kept)), config={"write_empty_chunks": True})
    zarr.Array(array)[...] = frames
    return [kept[segment_name(spec, frame)].to_bytes() for frame in range(len(frames))]


@lru_cache(maxsize=64)
def _unsharded_metadata(spec: ArraySpec) -> Any:
    document = array_metadata(spec)
    shard = document["codecs"][0]["configuration"]
    document["chunk_grid"]["configuration"]["chunk_shape"] = shard["chunk_shape"]
    unsharded: Any = document | {"codecs": shard["codecs"]}
    return zarr.AsyncArray(unsharded, StorePath(MemoryStore())).metadata
