"""What a store promises, with hard links and on a disk that has none."""

import errno
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from cache.gc import gc
from cache.journal import committed_counts
from cache.keys import StageKey
from cache.layout import ArraySpec, entry_folder, flow_spec, frames_spec
from cache.maintenance import list_entries
from cache.store import Store
from propainter.core.errors import CorruptSegmentError, MissingSegmentError, ShapeError, StoreError
from propainter.core.frames import FrameRange

KEY = StageKey("estimate_flow", ("a", "b", "c"))
SPEC = flow_spec(10, 8, 16, 4, "default")
FLOW = np.random.default_rng(1).integers(-999, 999, SPEC.shape, dtype=np.int16)
PIECES = StageKey("encode_video", ("a", "b"))


@pytest.fixture(params=["links", "no links"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param == "no links":

        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    return request.param == "links"


@pytest.fixture
def store(links: bool, tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def _write_all(store: Store, key: StageKey = KEY, spec: ArraySpec = SPEC, array: NDArray[Any] = FLOW) -> None:
    store.create(key, spec, {})
    for index in store.missing(key):
        frames = spec.segment(index)
        assert store.write(key, index, array[frames.start : frames.stop])


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_every_range_reads_back_as_it_was_written(store: Store) -> None:
    _write_all(store)
    for start in range(11):
        for stop in range(start, 11):
            assert np.array_equal(store.read(KEY, FrameRange(start, stop)), FLOW[start:stop])


@pytest.mark.parametrize(
    "spec",
    [frames_spec(5, 8, 16, channels, 2, storage) for channels in (3, 4) for storage in ("default", "fast")]
    + [flow_spec(5, 8, 16, 3, storage) for storage in ("default", "fast", "exact")],
    ids=str,
)
def test_any_zarr_reader_opens_the_arrays(store: Store, spec: ArraySpec) -> None:
    key = StageKey("refine_frames", tuple("abc"[: spec.segments]))
    array = np.random.default_rng(2).integers(0, 255, spec.shape).astype(spec.dtype)
    _write_all(store, key, spec, array)
    opened = zarr.open_array(entry_folder(store.root, key.stage, key.digest), mode="r")
    assert opened.dtype == spec.dtype
    assert np.array_equal(np.asarray(opened[...]), array)


def test_a_segment_that_is_not_committed_is_an_error_and_never_zeros(store: Store) -> None:
    store.create(KEY, SPEC, {})
    store.write(KEY, 0, FLOW[:4])
    assert store.missing(KEY) == [1, 2]
    with pytest.raises(MissingSegmentError, match="segment 1 of estimate_flow"):
        store.read(KEY, FrameRange(3, 5))
    assert np.array_equal(store.read(KEY, FrameRange(0, 4)), FLOW[:4])


@pytest.mark.parametrize("absent", [0, 3])
def test_a_chunk_that_its_shard_says_is_absent_is_an_error_and_never_zeros(store: Store, absent: int) -> None:
    """An index of right checksum and length, in which one frame has no bytes: to zarr, a frame of zeros."""
    _write_all(store)
    path = entry_folder(store.root, KEY.stage, KEY.digest) / "c.1.0.0.0.0"
    data = path.read_bytes()
    index = bytearray(data[-68:-4])
    index[16 * absent : 16 * absent + 16] = b"\xff" * 16
    path.unlink()
    path.write_bytes(data[:-68] + index + google_crc32c.value(bytes(index)).to_bytes(4, "little"))
    assert not zarr.open_array(path.parent, mode="r")[4 + absent].any()  # type: ignore[union-attr]
    with pytest.raises(CorruptSegmentError, match="segment 1"):
        store.read(KEY, FrameRange(4 + absent, 5 + absent))


def test_frames_of_zeros_are_committed_like_any_others(store: Store) -> None:
    _write_all(store, array=np.zeros_like(FLOW))
    assert Store(store.root).missing(KEY) == []
    assert not Store(store.root).read(KEY, FrameRange(0, 10)).any()


def test_the_first_writer_wins_and_the_second_is_told(store: Store) -> None:
    store.create(KEY, SPEC, {})
    assert store.write(KEY, 0, FLOW[:4])
    assert not store.write(KEY, 0, FLOW[4:8])
    assert np.array_equal(store.read(KEY, FrameRange(0, 4)), FLOW[:4])
    assert store.computed["estimate_flow"] == 1
    assert committed_counts(store.root) == {("estimate_flow", KEY.digest, 0): 1}


def test_another_process_goes_on_where_this_one_was(store: Store) -> None:
    store.create(KEY, SPEC, {"iterations": 20})
    store.write(KEY, 1, FLOW[4:8])
    other = Store(store.root)
    assert other.missing(KEY, [0, 1]) == [0]
    other.create(KEY, SPEC, {"iterations": 20})
    assert other.missing(KEY) == [0, 2]
    assert np.array_equal(other.read(KEY, FrameRange(4, 8)), FLOW[4:8])


def test_before_it_is_created_everything_is_missing_and_nothing_can_be_read_or_written(store: Store) -> None:
    assert store.missing(KEY) == [0, 1, 2]
    with pytest.raises(MissingSegmentError, match="no entry"):
        store.read(KEY, FrameRange(0, 1))
    with pytest.raises(MissingSegmentError, match="no entry"):
        store.write(KEY, 0, FLOW[:4])


def test_what_would_be_missing_is_told_without_creating_anything(store: Store, links: bool) -> None:
    _write_all(store)
    edited = StageKey("estimate_flow", ("a", "b", "x"))
    before = _files(store.root)
    assert store.would_miss(KEY, SPEC, [0, 2]) == []
    assert store.would_miss(edited, SPEC, range(3)) == ([2] if links else [0, 1, 2])
    other_layout = flow_spec(10, 8, 16, 4, "exact")
    assert store.would_miss(StageKey("estimate_flow", ("a", "b", "c"), "exact"), other_layout, range(3)) == [0, 1, 2]
    assert _files(store.root) == before
    store.create(edited, SPEC, {})
    assert store.missing(edited) == ([2] if links else [0, 1, 2])


def test_an_entry_that_create_would_set_aside_and_a_broken_segment_count_as_missing(store: Store, links: bool) -> None:
    _write_all(store)
    folder = entry_folder(store.root, KEY.stage, KEY.digest)
    broken = folder / "c.1.0.0.0.0"
    broken.write_bytes(broken.read_bytes()[:-1])
    assert store.would_miss(KEY, SPEC, range(3)) == [1]
    (folder / "recipe.json").unlink()
    assert store.would_miss(KEY, SPEC, range(3)) == ([1] if links else [0, 1, 2])
    assert broken.exists()
    store.create(KEY, SPEC, {})
    assert store.missing(KEY) == ([1] if links else [0, 1, 2])


def test_the_recipe_is_kept_beside_the_array_for_people_to_read(store: Store) -> None:
    store.create(KEY, SPEC, {"iterations": 20})
    recipe = json.loads((entry_folder(store.root, KEY.stage, KEY.digest) / "recipe.json").read_text())
    assert recipe["recipe"] == {"iterations": 20}
    assert recipe["segments"] == ["a", "b", "c"]


def test_nothing_temporary_stays_behind(store: Store) -> None:
    _write_all(store)
    store.write(KEY, 0, FLOW[:4])
    store.finish(KEY)
    assert _files(store.root / ".tmp") == []
    assert _files(store.root / ".quarantine") == []
    assert _files(entry_folder(store.root, KEY.stage, KEY.digest)) == [
        "c.0.0.0.0.0", "c.1.0.0.0.0", "c.2.0.0.0.0", "manifest.json", "recipe.json", "zarr.json",
    ]  # fmt: skip


def test_frames_that_come_one_by_one_are_written_as_those_of_an_array(store: Store) -> None:
    store.create(KEY, SPEC, {})
    assert store.write(KEY, 0, (frame.copy() for frame in FLOW[:4]))
    assert np.array_equal(store.read(KEY, FrameRange(0, 4)), FLOW[:4])


def test_of_frames_whose_making_fails_nothing_is_kept(store: Store) -> None:
    def failing() -> Iterator[NDArray[Any]]:
        yield from FLOW[:3]
        raise ZeroDivisionError

    store.create(KEY, SPEC, {})
    with pytest.raises(ZeroDivisionError):
        store.write(KEY, 0, failing())
    assert store.missing(KEY) == [0, 1, 2]
    assert _files(store.root / ".tmp") == []


@pytest.mark.parametrize(
    "array", [FLOW[:3], FLOW[:5], FLOW[:4].astype(np.int32), FLOW[:4, :1], FLOW[:4].astype(np.float32)]
)
def test_an_array_of_another_shape_or_type_is_refused(store: Store, array: NDArray[Any]) -> None:
    store.create(KEY, SPEC, {})
    with pytest.raises(ShapeError, match="segment 0"):
        store.write(KEY, 0, array)
    assert store.missing(KEY) == [0, 1, 2]


def test_segments_and_frames_that_the_array_does_not_have_are_refused(store: Store) -> None:
    _write_all(store)
    with pytest.raises(ShapeError, match="not 3"):
        store.write(KEY, 3, FLOW[:4])
    with pytest.raises(ShapeError, match="0:11"):
        store.read(KEY, FrameRange(0, 11))
    with pytest.raises(ShapeError, match="2 keys for 3 segments"):
        store.create(StageKey("estimate_flow", ("a", "b")), SPEC, {})


def test_a_video_of_one_frame_has_an_array_of_no_pairs(store: Store) -> None:
    key, spec = StageKey("estimate_flow", ()), flow_spec(0, 8, 16, 4, "default")
    store.create(key, spec, {})
    assert store.missing(key) == []
    assert store.read(key, FrameRange(0, 0)).shape == (0, 2, 2, 8, 16)
    store.finish(key)
    assert list_entries(store.root)[0].complete


def test_the_manifest_has_the_size_of_every_file_and_the_checksum_that_it_ends_in(store: Store) -> None:
    _write_all(store)
    store.finish(KEY)
    folder = entry_folder(store.root, KEY.stage, KEY.digest)
    manifest = json.loads((folder / "manifest.json").read_text())
    files = [(folder / f"c.{index}.0.0.0.0").read_bytes() for index in range(3)]
    assert manifest["segments"] == [
        {"segment": index, "size_bytes": len(data), "crc32c": int.from_bytes(data[-4:], "little")}
        for index, data in enumerate(files)
    ]
    assert manifest["size_bytes"] == sum(map(len, files))


def test_the_manifest_of_blobs_has_the_checksums_of_their_payloads(store: Store) -> None:
    store.create(PIECES, None, {})
    for index, payload in enumerate([b"first piece", b"123456789"]):
        store.write_blob(PIECES, index, payload)
    store.finish(PIECES)
    manifest = json.loads((entry_folder(store.root, PIECES.stage, PIECES.digest) / "manifest.json").read_text())
    assert manifest["segments"][1]["crc32c"] == 0xE3069283  # the check value of CRC-32C


def test_finishing_a_resumed_entry_reads_the_ends_of_its_files_only(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_all(store)
    read_bytes: list[int] = []
    pread, read = os.pread, Path.read_bytes

    def counted(descriptor: int, size: int, offset: int) -> bytes:
        read_bytes.append(size)
        return pread(descriptor, size, offset)

    def of_small_files(path: Path) -> bytes:
        assert path.suffix == ".json"
        return read(path)

    monkeypatch.setattr(os, "pread", counted)
    monkeypatch.setattr(Path, "read_bytes", of_small_files)
    Store(store.root).finish(KEY)
    assert read_bytes == [16 * 4 + 4] * 3


def test_only_what_is_committed_can_be_finished_and_later_parts_are_added(store: Store) -> None:
    store.create(KEY, SPEC, {})
    store.write(KEY, 0, FLOW[:4])
    with pytest.raises(MissingSegmentError, match="segment 1"):
        store.finish(KEY)
    assert not list_entries(store.root)[0].complete
    store.finish(KEY, [0])
    store.write(KEY, 2, FLOW[8:])
    store.finish(KEY, [2])
    assert list_entries(store.root)[0].segments == 2


def test_a_part_of_a_segment_is_read_without_decoding_the_rest(store: Store) -> None:
    _write_all(store)
    path = entry_folder(store.root, KEY.stage, KEY.digest) / "c.0.0.0.0.0"
    data = bytearray(path.read_bytes())
    data[10] ^= 1  # in the first frame of four
    path.write_bytes(data)
    assert np.array_equal(store.read(KEY, FrameRange(1, 9)), FLOW[1:9])
    with pytest.raises(CorruptSegmentError):
        store.read(KEY, FrameRange(0, 1))


def test_a_broken_segment_is_recomputed_and_nothing_else_is(store: Store) -> None:
    _write_all(store)
    store.finish(KEY)
    path = entry_folder(store.root, KEY.stage, KEY.digest) / "c.1.0.0.0.0"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptSegmentError) as caught:
        Store(store.root).read(KEY, FrameRange(0, 10))
    assert "\n" not in str(caught.value)
    assert "segment 1 of estimate_flow" in str(caught.value)
    assert "run again" in str(caught.value)
    assert len(list((store.root / ".quarantine").glob("*-c.1.*"))) >= 1
    assert not list_entries(store.root)[0].complete
    again = Store(store.root)
    _write_all(again)
    again.finish(KEY)
    assert again.computed == {"estimate_flow": 1}
    assert np.array_equal(again.read(KEY, FrameRange(0, 10)), FLOW)


def test_a_changed_segment_costs_that_segment_only(store: Store, links: bool) -> None:
    _write_all(store)
    changed = StageKey("estimate_flow", ("a", "z", "c"))
    again = Store(store.root)
    again.create(changed, SPEC, {})
    assert again.missing(changed) == ([1] if links else [0, 1, 2])
    assert again.adopted == ({"estimate_flow": 2} if links else {})
    assert sum(again.computed.values()) == 0
    if links:
        assert np.array_equal(again.read(changed, FrameRange(0, 4)), FLOW[:4])
        assert np.array_equal(again.read(changed, FrameRange(8, 10)), FLOW[8:])
    assert sum(committed_counts(store.root).values()) == 3


def test_a_segment_is_not_taken_over_in_another_layout_stage_or_length(store: Store) -> None:
    _write_all(store)
    others = [
        (StageKey("complete_flow", ("a", "b", "c")), SPEC),
        (StageKey("estimate_flow", ("a", "b", "c", "d")), flow_spec(10, 8, 16, 3, "default")),
        (StageKey("estimate_flow", ("a", "b")), flow_spec(6, 8, 16, 5, "default")),
        (StageKey("estimate_flow", ("c", "b", "z")), flow_spec(10, 8, 16, 4, "exact")),
        (StageKey("estimate_flow", ("c", "y", "x")), flow_spec(10, 8, 16, 4, "fast")),
        (StageKey("estimate_flow", ("c", "w", "x")), SPEC),  # c was two frames long, and is four here
    ]
    for key, spec in others:
        store.create(key, spec, {})
        expected = set(range(len(key.segments))) - ({1} if key.segments[1] == "b" and spec == SPEC else set())
        assert set(store.missing(key)) == (expected if key.stage == KEY.stage else {0, 1, 2})


def test_blobs_come_back_byte_for_byte(store: Store) -> None:
    store.create(PIECES, None, {"crf": 18})
    assert store.write_blob(PIECES, 0, b"first piece")
    assert store.write_blob(PIECES, 1, b"")
    assert not store.write_blob(PIECES, 0, b"another")
    again = Store(store.root)
    assert again.missing(PIECES) == []
    assert [again.read_blob(PIECES, index) for index in (0, 1)] == [b"first piece", b""]
    again.finish(PIECES)
    assert list_entries(store.root)[0].segments == 2


def test_a_missing_blob_and_a_broken_one_are_errors(store: Store) -> None:
    store.create(PIECES, None, {})
    with pytest.raises(MissingSegmentError, match="segment 0 of encode_video"):
        store.read_blob(PIECES, 0)
    store.write_blob(PIECES, 0, b"first piece")
    path = entry_folder(store.root, PIECES.stage, PIECES.digest) / "b.0"
    path.write_bytes(b"F" + path.read_bytes()[1:])
    with pytest.raises(CorruptSegmentError, match="checksum"):
        store.read_blob(PIECES, 0)
    assert store.missing(PIECES) == [0, 1]


def test_an_array_is_not_read_as_blobs_nor_blobs_as_an_array(store: Store) -> None:
    _write_all(store)
    store.create(PIECES, None, {})
    with pytest.raises(StoreError, match="not blobs"):
        store.read_blob(KEY, 0)
    with pytest.raises(StoreError, match="not an array"):
        store.read(PIECES, FrameRange(0, 1))


def test_threads_that_write_one_entry_lose_nothing_and_each_segment_is_won_once(store: Store) -> None:
    key, spec = StageKey("refine_frames", tuple("abcdefgh")), frames_spec(32, 16, 16, 3, 4, "default")
    frames = np.random.default_rng(3).integers(0, 255, spec.shape, dtype=np.uint8)
    store.create(key, spec, {})
    with ThreadPoolExecutor(6) as threads:
        won = list(
            threads.map(lambda index: store.write(key, index, frames[4 * index : 4 * index + 4]), list(range(8)) * 3)
        )
        parts = list(threads.map(lambda start: store.read(key, FrameRange(start, start + 3)), range(29)))
    assert sum(won) == store.computed["refine_frames"] == 8
    assert all(np.array_equal(part, frames[start : start + 3]) for start, part in enumerate(parts))
    assert set(committed_counts(store.root).values()) == {1}


def test_gc_leaves_leased_entries_alone_until_the_lease_ends(store: Store) -> None:
    with store.lease([KEY, PIECES]):
        _write_all(store)
        assert gc(store.root, max_bytes=0).removed == ()
        assert store.missing(KEY) == []
    assert [entry.digest for entry in gc(store.root, max_bytes=0).removed] == [KEY.digest]
    assert store.missing(KEY) == [0, 1, 2]


def test_a_folder_that_cannot_be_written_is_said_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "cache"):
        with pytest.raises(StoreError, match="--cache DIR"):
            Store(root)
