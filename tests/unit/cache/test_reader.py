"""The direct reader against the store that wrote: the same numbers, or an error that names the file."""

import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cache.keys import StageKey
from cache.layout import ArraySpec, flow_spec, frames_spec, segment_name
from cache.reader import EntryReader
from cache.store import Store
from propainter.core.errors import CorruptSegmentError, MissingSegmentError, ShapeError, StoreError
from propainter.core.frames import FrameRange
from propainter.core.settings import Storage

FRAMES = 10
KEY = StageKey("estimate_flow", ("a", "b", "c"), "layout")


def _commit(root: Path, spec: ArraySpec, segments: tuple[int, ...] = (0, 1, 2)) -> NDArray[Any]:
    numbers = np.random.default_rng(3).integers(0, 200, spec.shape).astype(spec.dtype)
    store = Store(root)
    store.create(KEY, spec, {})
    for index in segments:
        core = spec.segment(index)
        store.write(KEY, index, numbers[core.start : core.stop])
    return numbers


def _reader(root: Path) -> EntryReader:
    return EntryReader(root, KEY.stage, KEY.digest)


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cache")
    _commit(root, flow_spec(FRAMES, 4, 6, 4, "default"))
    return root


@pytest.mark.parametrize("storage", ["default", "fast", "exact"])
@pytest.mark.parametrize("kind", ["flow", "frames"])
def test_it_reads_what_the_store_reads(tmp_path: Path, kind: str, storage: Storage) -> None:
    spec = flow_spec(FRAMES, 4, 6, 4, storage) if kind == "flow" else frames_spec(FRAMES, 4, 6, 3, 4, storage)
    numbers = _commit(tmp_path, spec)
    read = _reader(tmp_path).read(range(FRAMES))
    assert read.dtype == numbers.dtype
    np.testing.assert_array_equal(read, Store(tmp_path).read(KEY, FrameRange(0, FRAMES)))
    np.testing.assert_array_equal(read, numbers)


@settings(deadline=None)
@given(frames=st.lists(st.integers(0, FRAMES - 1), max_size=12))
def test_frames_come_in_the_order_asked_for(committed: Path, frames: list[int]) -> None:
    whole = Store(committed).read(KEY, FrameRange(0, FRAMES))
    np.testing.assert_array_equal(_reader(committed).read(frames), whole[frames])


def test_a_pickled_reader_reads_the_same_and_carries_no_index(committed: Path) -> None:
    reader = _reader(committed)
    fresh_bytes = len(pickle.dumps(reader))
    before = reader.read([9, 0])
    assert len(pickle.dumps(reader)) == fresh_bytes
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(reader)).read([9, 0]), before)


def test_a_spawned_worker_reads_with_it(committed: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        read = pool.apply(_reader(committed).read, ([3, 4],))
    np.testing.assert_array_equal(read, Store(committed).read(KEY, FrameRange(3, 5)))


def test_any_changed_byte_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    spec = flow_spec(2, 4, 6, 4, "default")
    key = StageKey("estimate_flow", ("a",), "layout")
    store = Store(tmp_path)
    store.create(key, spec, {})
    store.write(key, 0, np.random.default_rng(3).integers(0, 200, spec.shape).astype(np.int16))
    reader = EntryReader(tmp_path, key.stage, key.digest)
    path = reader.folder / segment_name(spec, 0)
    whole = path.read_bytes()
    for position in range(0, len(whole), 3):
        path.unlink()  # the pool has the same file by another name
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        with pytest.raises(CorruptSegmentError, match=r"estimate_flow/.*/c\.0\.0\.0\.0\.0 is broken"):
            pickle.loads(pickle.dumps(reader)).read([0, 1])


def test_bytes_that_break_after_the_index_was_remembered_are_an_error_too(tmp_path: Path) -> None:
    spec = flow_spec(FRAMES, 4, 6, 4, "default")
    _commit(tmp_path, spec)
    reader = _reader(tmp_path)
    reader.read([4])
    path = reader.folder / segment_name(spec, 1)
    with path.open("r+b") as file:
        file.seek(20)
        file.write(b"\xff\xff")
    with pytest.raises(CorruptSegmentError, match="the checksum of its frame 0 is wrong"):
        reader.read([4])
    with path.open("r+b") as file:
        file.truncate(10)
    with pytest.raises(CorruptSegmentError, match="is broken: its frame 1"):
        reader.read([5])


def test_a_segment_that_was_computed_anew_is_read_anew(tmp_path: Path) -> None:
    spec = flow_spec(FRAMES, 4, 6, 4, "default")
    _commit(tmp_path, spec)
    reader = _reader(tmp_path)
    reader.read([0])
    store = Store(tmp_path)
    path = reader.folder / segment_name(spec, 0)
    kept = path.rename(tmp_path / "kept")  # keeps its inode from the next file
    zeros = np.zeros((4, 2, 2, 4, 6), np.int16)
    store.write(KEY, 0, zeros)
    assert path.stat().st_ino != kept.stat().st_ino
    np.testing.assert_array_equal(reader.read([0, 3]), zeros[:2])


def test_a_segment_that_is_not_there_is_an_error_and_the_others_are_read(tmp_path: Path) -> None:
    numbers = _commit(tmp_path, flow_spec(FRAMES, 4, 6, 4, "default"), segments=(0, 2))
    reader = _reader(tmp_path)
    np.testing.assert_array_equal(reader.read([3, 8]), numbers[[3, 8]])
    with pytest.raises(MissingSegmentError, match=r"c\.1\.0\.0\.0\.0 is not there"):
        reader.read([3, 4])


def test_frames_beyond_the_array_are_refused(committed: Path) -> None:
    for frame in (-1, FRAMES):
        with pytest.raises(ShapeError, match=str(frame)):
            _reader(committed).read([0, frame])


def test_an_entry_that_is_not_there_and_one_of_blobs_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(MissingSegmentError):
        _reader(tmp_path)
    store.create(KEY, None, {})
    with pytest.raises(StoreError, match="holds blobs"):
        _reader(tmp_path)
