"""Whether a shard's index and its file belong together, where every checksum is right."""

import struct
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from cache.layout import frames_spec
from cache.shards import content_fault, data_fault, decode_blob, encode_blob, encode_shard

SPEC = frames_spec(3, 2, 4, 3, 4, "default")
SHARD = encode_shard(SPEC, np.random.default_rng(1).integers(0, 255, SPEC.shape, dtype=np.uint8))
ABSENT = 2**64 - 1
BODY, INDEX = SHARD[: -16 * 4 - 4], [list(entry) for entry in struct.iter_unpack("<QQ", SHARD[-16 * 4 - 4 : -4])]
LENGTH = INDEX[0][1]


def _with_index(index: list[list[int]]) -> bytes:
    packed = b"".join(struct.pack("<QQ", *entry) for entry in index)
    return BODY + packed + struct.pack("<I", google_crc32c.value(packed))


def test_a_shard_is_its_frames_one_behind_the_other_and_an_index() -> None:
    assert INDEX == [[0, LENGTH], [LENGTH, LENGTH], [2 * LENGTH, LENGTH], [ABSENT, ABSENT]]
    assert _with_index(INDEX) == SHARD
    assert data_fault(SHARD, SPEC, 3) is None


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
def test_an_index_that_does_not_fit_its_file_is_a_fault(changed: dict[int, list[int]], reason: str | None) -> None:
    index = [changed.get(frame, entry) for frame, entry in enumerate(INDEX)]
    assert (reason or "the checksum of its frame 0") in str(data_fault(_with_index(index), SPEC, 3))


def test_a_shard_of_fewer_or_more_frames_is_a_fault() -> None:
    assert data_fault(SHARD, SPEC, 4) == "its index does not hold its frames"
    assert data_fault(SHARD, SPEC, 2) == "its index does not hold its frames"


def test_a_shard_does_not_say_where_in_the_video_it_lies() -> None:
    longer = frames_spec(300, 2, 4, 3, 4, "default")
    frames = np.random.default_rng(1).integers(0, 255, SPEC.shape, dtype=np.uint8)
    assert encode_shard(longer, frames) == SHARD


def test_a_block_that_the_disk_cannot_read_is_a_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert content_fault(tmp_path / "c.0.0.0.0", SPEC, 3) == "the disk cannot read it"


@pytest.mark.parametrize("payload", [b"", b"x", bytes(1000)])
def test_a_blob_comes_back_out_of_its_file(payload: bytes) -> None:
    data = encode_blob(payload)
    assert data_fault(data, None, 1) is None
    assert decode_blob(data) == payload
