"""Whether a shard's index and its file belong together, where every checksum is right."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore, StorePath

from cache.layout import ArraySpec, array_metadata, flow_spec, frames_spec
from cache.shards import decode_blob, encode_blob, encode_shard, look
from propainter.core.settings import Storage

SPEC = frames_spec(3, 2, 4, 3, 4, "default")
SHARD = b"".join(encode_shard(SPEC, np.random.default_rng(1).integers(0, 255, SPEC.shape, dtype=np.uint8)))
ABSENT = 2**64 - 1
BODY, INDEX = SHARD[: -16 * 4 - 4], [list(entry) for entry in struct.iter_unpack("<QQ", SHARD[-16 * 4 - 4 : -4])]
LENGTH = INDEX[0][1]


def _with_index(index: list[list[int]]) -> bytes:
    packed = b"".join(struct.pack("<QQ", *entry) for entry in index)
    return BODY + packed + struct.pack("<I", google_crc32c.value(packed))


def _fault(folder: Path, data: bytes, spec: ArraySpec | None = SPEC, frames: int = 3) -> str | None:
    (folder / "segment").write_bytes(data)
    found = look(folder / "segment", spec, frames, content=True)
    assert found is not None
    return found.fault


def test_a_shard_is_its_frames_one_behind_the_other_and_an_index(tmp_path: Path) -> None:
    assert INDEX == [[0, LENGTH], [LENGTH, LENGTH], [2 * LENGTH, LENGTH], [ABSENT, ABSENT]]
    assert _with_index(INDEX) == SHARD
    assert _fault(tmp_path, SHARD) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({2: [ABSENT, ABSENT]}, "does not hold its frames"),
        ({3: [0, LENGTH]}, "does not hold its frames"),
        ({1: [0, LENGTH]}, "do not tile"),
        ({0: [0, LENGTH - 1], 1: [LENGTH - 1, LENGTH + 1]}, None),  # tiles; its chunks' checksums are wrong
        ({2: [2 * LENGTH, LENGTH - 1]}, "do not tile"),
        ({2: [2 * LENGTH, LENGTH + 1]}, "do not tile"),
        ({1: [LENGTH, 0], 2: [LENGTH, 2 * LENGTH]}, "do not tile"),
    ],
)
def test_an_index_that_does_not_fit_its_file_is_a_fault(
    tmp_path: Path, changed: dict[int, list[int]], reason: str | None
) -> None:
    index = [changed.get(frame, entry) for frame, entry in enumerate(INDEX)]
    assert (reason or "the checksum of its frame 0") in str(_fault(tmp_path, _with_index(index)))


@pytest.mark.parametrize("frames", [2, 4])
def test_a_shard_of_fewer_or_more_frames_is_a_fault(tmp_path: Path, frames: int) -> None:
    assert _fault(tmp_path, SHARD, SPEC, frames) == "its index does not hold its frames"


def test_a_shard_does_not_say_where_in_the_video_it_lies() -> None:
    longer = frames_spec(300, 2, 4, 3, 4, "default")
    frames = np.random.default_rng(1).integers(0, 255, SPEC.shape, dtype=np.uint8)
    assert b"".join(encode_shard(longer, frames)) == SHARD


@pytest.mark.parametrize("storage", ["default", "fast", "exact"])
def test_a_shard_is_byte_for_byte_what_zarr_makes_of_the_whole_segment(storage: Storage) -> None:
    spec = flow_spec(11, 6, 8, 16, storage)
    flow = np.random.default_rng(2).integers(-300, 300, spec.shape).astype(spec.dtype)
    flow[4] = 0  # written like any other
    kept: dict[str, Buffer] = {}
    at = StorePath(MemoryStore(kept))
    document: Any = array_metadata(spec)
    array = zarr.AsyncArray(zarr.AsyncArray(document, at).metadata, at, config={"write_empty_chunks": True})
    zarr.Array(array)[...] = flow
    assert b"".join(encode_shard(spec, flow)) == kept["c.0.0.0.0.0"].to_bytes()


def test_a_shard_is_begun_before_all_its_frames_are_made() -> None:
    spec, made = flow_spec(16, 6, 8, 16, "default"), 0

    def frames() -> Iterator[NDArray[np.int16]]:
        nonlocal made
        for frame in np.zeros(spec.shape, np.int16):
            made += 1
            yield frame

    pieces = encode_shard(spec, frames())
    assert next(pieces)
    assert made <= 8
    assert len([*pieces]) == 15 + 2


def test_a_block_that_the_disk_cannot_read_is_a_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pread = os.pread
    for readable_bytes in (0, 16 * 4 + 4):

        def refuse(descriptor: int, size: int, offset: int, left: int = readable_bytes) -> bytes:
            if offset < len(SHARD) - left:
                raise OSError(5, "Input/output error")
            return pread(descriptor, size, offset)

        monkeypatch.setattr(os, "pread", refuse)
        assert _fault(tmp_path, SHARD) == "the disk cannot read it"


@pytest.mark.parametrize("payload", [b"", b"x", bytes(1000)])
def test_a_blob_comes_back_out_of_its_file(tmp_path: Path, payload: bytes) -> None:
    data = encode_blob(payload)
    assert _fault(tmp_path, data, None, 1) is None
    assert decode_blob(data) == payload


def test_a_segment_larger_than_a_block_is_checked_to_its_last_byte(tmp_path: Path) -> None:
    data = bytearray(encode_blob(bytes(3_000_000)))
    assert _fault(tmp_path, bytes(data), None) is None
    for position in (0, 1_048_576, 2_999_999):
        data[position] = 1
        assert _fault(tmp_path, bytes(data), None) == "its checksum is wrong"
        data[position] = 0
