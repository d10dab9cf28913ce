"""Files that are damaged, lost, left over or put back wrong: nothing bad is ever served, and little is lost."""

import os
import shutil
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import zarr

from cache.gc import gc
from cache.keys import StageKey
from cache.layout import entry_folder, flow_spec, frames_spec
from cache.maintenance import verify
from cache.publish import publish
from cache.shards import encode_shard
from cache.store import Store
from propainter.core.errors import CorruptSegmentError, MissingSegmentError
from propainter.core.frames import FrameRange

KEY = StageKey("refine_frames", ("a", "b"))
SPEC = frames_spec(7, 2, 4, 3, 4, "default")
FRAMES = np.random.default_rng(1).integers(0, 255, SPEC.shape, dtype=np.uint8)
ALL = FrameRange(0, 7)
INDEX_BYTES = 16 * 4 + 4
FOLDER = ("v1", KEY.stage, KEY.digest[:2], KEY.digest)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "cache"
    _run(root)
    return root


def _run(root: Path) -> Store:
    """What a run does: compute what is missing, and finish."""
    store = Store(root)
    store.create(KEY, SPEC, {})
    for index in store.missing(KEY):
        frames = SPEC.segment(index)
        store.write(KEY, index, FRAMES[frames.start : frames.stop])
    store.finish(KEY)
    return store


def _shard(root: Path, segment: int) -> Path:
    return root.joinpath(*FOLDER) / f"c.{segment}.0.0.0"


def _overwrite(path: Path, data: bytes) -> None:
    """In place, as a disk does it: the same inode, size and times."""
    status = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _assert_refused_then_recomputed(store: Store, segment: int) -> None:
    with pytest.raises((CorruptSegmentError, MissingSegmentError), match=f"segment {segment}"):
        store.read(KEY, ALL)
    assert not (store.root.joinpath(*FOLDER) / "manifest.json").exists()
    again = _run(store.root)
    assert again.computed == {KEY.stage: 1}
    assert np.array_equal(again.read(KEY, ALL), FRAMES)


@pytest.mark.parametrize("reopened", [True, False])
def test_a_flipped_bit_anywhere_in_a_shard_is_found_by_reading_it(root: Path, reopened: bool) -> None:
    shard, data, store = _shard(root, 1), _shard(root, 1).read_bytes(), Store(root)
    store.read(KEY, ALL)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        _overwrite(shard, damaged)
        reader = Store(root) if reopened else store
        with pytest.raises(CorruptSegmentError, match="segment 1"):
            reader.read(KEY, FrameRange(4, 7))
        assert not shard.exists()
        shard.write_bytes(data)


@pytest.mark.parametrize(
    "keep_bytes", [0, 1, INDEX_BYTES - 1, INDEX_BYTES, INDEX_BYTES + 1, -INDEX_BYTES - 1, -INDEX_BYTES, -1]
)
@pytest.mark.parametrize("segment", [0, 1])
def test_a_truncated_shard_is_recomputed_and_nothing_else_is(root: Path, keep_bytes: int, segment: int) -> None:
    store = Store(root)
    store.read(KEY, ALL)
    data = _shard(root, segment).read_bytes()
    _overwrite(_shard(root, segment), data[:keep_bytes])
    _assert_refused_then_recomputed(store, segment)


def test_a_shard_with_something_behind_its_end_is_recomputed(root: Path) -> None:
    data = _shard(root, 0).read_bytes()
    _shard(root, 0).write_bytes(data + b"\0" * 16)
    _assert_refused_then_recomputed(Store(root), 0)


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, None), (0, 16), (100, 132), (-INDEX_BYTES, None), (-INDEX_BYTES, -INDEX_BYTES + 16), (-4, None)],
)
def test_zeroed_blocks_are_found(root: Path, start: int, stop: int | None) -> None:
    store = Store(root)
    data = bytearray(_shard(root, 0).read_bytes())
    data[start:stop] = bytes(len(data[start:stop]))
    _overwrite(_shard(root, 0), data)
    _assert_refused_then_recomputed(store, 0)


def test_an_index_that_says_its_frames_are_absent_is_not_taken_for_zeros(root: Path) -> None:
    """A plain reader of such a shard gives zeros: that is what the format means by it."""
    short = b"".join(encode_shard(SPEC, FRAMES[4:6]))
    _shard(root, 1).write_bytes(short)
    assert not np.asarray(zarr.open_array(root.joinpath(*FOLDER), mode="r")[6]).any()
    _assert_refused_then_recomputed(Store(root), 1)


def test_a_shard_that_went_away_after_it_was_checked_is_not_taken_for_zeros(root: Path) -> None:
    store = Store(root)
    store.read(KEY, ALL)
    _shard(root, 1).unlink()
    with pytest.raises(MissingSegmentError, match="segment 1"):
        store.read(KEY, ALL)
    assert Store(root).missing(KEY) == []  # its other name, in the pool, is still there


def test_a_shard_that_goes_away_while_it_is_read_is_not_taken_for_zeros(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cache import store as module

    read_frames = module.read_frames

    def lose_it_first(*arguments: object) -> object:
        _shard(root, 1).unlink()
        return read_frames(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "read_frames", lose_it_first)
    with pytest.raises(MissingSegmentError, match="segment 1"):
        Store(root).read(KEY, FrameRange(4, 7))


@pytest.mark.parametrize("name", ["zarr.json", "recipe.json"])
@pytest.mark.parametrize("damage", ["lost", "cut", "emptied", "another"])
def test_without_its_own_header_an_entry_is_not_believed_but_its_work_is_not_lost(
    root: Path, name: str, damage: str
) -> None:
    path, store = root.joinpath(*FOLDER) / name, Store(root)
    store.read(KEY, ALL)
    if damage == "lost":
        path.unlink()
    else:
        data = path.read_bytes()
        path.write_bytes({"cut": data[:-2], "emptied": b"", "another": data.replace(b"8", b"9", 1)}[damage])
    for reader in (store, Store(root)):
        with pytest.raises(MissingSegmentError, match="no entry of its own"):
            reader.read(KEY, ALL)
    again = _run(root)
    assert (again.computed, again.adopted) == ({}, {KEY.stage: 2})
    assert np.array_equal(again.read(KEY, ALL), FRAMES)


def test_chunks_of_an_older_layout_are_not_served_under_recreated_metadata(root: Path) -> None:
    """Same bytes a frame, other shape: a plain reader would serve them as current."""
    turned = frames_spec(7, 4, 2, 3, 4, "default")
    store = Store(root)
    store.create(KEY, turned, {})
    assert store.missing(KEY) == [0, 1]
    with pytest.raises(MissingSegmentError):
        store.read(KEY, ALL)
    assert store.write(KEY, 0, FRAMES[:4].reshape(4, 4, 2, 3))
    assert store.missing(KEY) == [1]
    assert store.read(KEY, FrameRange(0, 4)).shape == (4, 4, 2, 3)


def test_chunks_are_not_served_when_another_program_recreated_the_metadata(root: Path) -> None:
    folder = root.joinpath(*FOLDER)
    (folder / "zarr.json").unlink()
    zarr.create_array(
        folder, shape=(7, 2, 4, 3), chunks=(1, 2, 4, 3), shards=(4, 2, 4, 3), dtype="int8",
        chunk_key_encoding={"name": "default", "separator": "."}, compressors=zarr.codecs.BloscCodec(),
    )  # fmt: skip
    with pytest.raises(MissingSegmentError, match="no entry of its own"):
        Store(root).read(KEY, ALL)
    assert np.array_equal(_run(root).read(KEY, ALL), FRAMES)


def test_a_lost_manifest_is_written_again_without_computing_anything(root: Path) -> None:
    manifest = root.joinpath(*FOLDER) / "manifest.json"
    before = manifest.read_bytes()
    for damage in (manifest.unlink, lambda: manifest.write_bytes(before[:9]), lambda: manifest.write_bytes(b"[]")):
        damage()
        assert _run(root).computed == {}
        assert manifest.read_bytes() == before


def test_leftovers_of_killed_writers_are_neither_served_nor_in_the_way(root: Path) -> None:
    data = _shard(root, 0).read_bytes()
    shutil.rmtree(root / "v1")
    for keep_bytes in (0, 10, len(data)):
        (root / ".tmp" / uuid.uuid4().hex).write_bytes(data[:keep_bytes])
    store = _run(root)
    assert store.computed == {KEY.stage: 2}
    assert np.array_equal(store.read(KEY, ALL), FRAMES)


def test_a_bad_name_in_the_pool_is_not_taken_over(root: Path) -> None:
    pooled = [path for path in root.glob("v1/.segments/*/*/*") if path.stat().st_ino == _shard(root, 0).stat().st_ino]
    data = pooled[0].read_bytes()
    pooled[0].unlink()
    pooled[0].write_bytes(data[:-1])
    other = StageKey(KEY.stage, ("a", "z"))
    store = Store(root)
    store.create(other, SPEC, {})
    assert store.missing(other) == [0, 1]
    assert not pooled[0].exists()
    assert np.array_equal(store.read(KEY, ALL), FRAMES)


def test_damage_that_only_reading_finds_is_not_taken_over_twice(root: Path) -> None:
    """Both entries share one damaged file: each finds it once, and then takes the good one."""
    other = StageKey(KEY.stage, ("a", "z"))
    store = Store(root)
    store.create(other, SPEC, {})
    assert store.missing(other) == [1]
    data = bytearray(_shard(root, 0).read_bytes())
    data[5] ^= 1
    _overwrite(_shard(root, 0), data)
    with pytest.raises(CorruptSegmentError):
        store.read(KEY, ALL)
    assert _run(root).computed == {KEY.stage: 1}
    with pytest.raises(CorruptSegmentError):
        store.read(other, FrameRange(0, 4))
    assert store.missing(other) == [1]
    assert np.array_equal(store.read(other, FrameRange(0, 4)), FRAMES[:4])


def test_a_good_segment_that_took_the_bad_ones_place_is_not_quarantined(root: Path) -> None:
    store, bad_inode = Store(root), _shard(root, 0).stat().st_ino
    store.quarantine(KEY, SPEC, 0, bad_inode)
    _run(root)
    store.quarantine(KEY, SPEC, 0, bad_inode)
    assert store.missing(KEY) == []


def test_full_verification_names_every_kind_of_damage_and_quick_what_it_can_see(root: Path) -> None:
    data = bytearray(_shard(root, 0).read_bytes())
    data[5] ^= 1
    _overwrite(_shard(root, 0), data)
    _shard(root, 1).write_bytes(_shard(root, 1).read_bytes()[:-1])
    assert [fault.path for fault in verify(root, quick=True).faults] == [_shard(root, 1)]
    found = verify(root, quick=False)
    assert [(fault.path, fault.reason) for fault in found.faults] == [
        (_shard(root, 0), "the checksum of its frame 0 is wrong")
    ]
    assert Store(root).missing(KEY) == [0, 1]


def test_a_file_that_several_entries_share_is_read_once_and_set_aside_from_each(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = StageKey(KEY.stage, ("a", "z"))
    store = Store(root)
    store.create(other, SPEC, {})
    assert store.missing(other) == [1]
    pread, offsets = os.pread, []

    def counted(descriptor: int, size: int, offset: int) -> bytes:
        offsets.append(offset)
        return pread(descriptor, size, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", counted)
        assert verify(root, quick=False).segments == 3
    assert offsets.count(0) == 2  # the first frame of segment 0, shared, and of segment 1
    data = bytearray(_shard(root, 0).read_bytes())
    data[5] ^= 1
    _overwrite(_shard(root, 0), data)
    assert len(verify(root, quick=False).faults) == 2
    assert (Store(root).missing(KEY), Store(root).missing(other)) == ([0], [0, 1])


def test_verification_finds_lost_segments_lost_headers_and_exchanged_files(root: Path) -> None:
    other = StageKey("extract_frames", ("a", "b"))
    store = Store(root)
    store.create(other, SPEC, {})
    store.write(other, 0, FRAMES[:4])
    (entry_folder(root, other.stage, other.digest) / "zarr.json").unlink()
    _shard(root, 0).unlink()
    larger = frames_spec(3, 4, 4, 3, 4, "default")
    _shard(root, 1).write_bytes(b"".join(encode_shard(larger, np.zeros(larger.shape, dtype=np.uint8))))
    reasons = {fault.path.name: fault.reason for fault in verify(root, quick=False).faults}
    assert reasons.keys() == {other.digest, "c.0.0.0.0", "c.1.0.0.0"}
    assert "manifest lists it" in reasons["c.0.0.0.0"]
    assert reasons["c.1.0.0.0"] == "it is not the file that its manifest lists"
    assert verify(root, quick=False).faults == ()


def test_a_blob_is_refused_whichever_of_its_bytes_is_damaged(tmp_path: Path) -> None:
    key, store = StageKey("encode_video", ("a",)), Store(tmp_path)
    store.create(key, None, {})
    store.write_blob(key, 0, b"one piece of video")
    path = entry_folder(tmp_path, key.stage, key.digest) / "b.0"
    data = path.read_bytes()
    damaged = [bytes([*data[:at], data[at] ^ 16, *data[at + 1 :]]) for at in range(len(data))]
    for content in [*damaged, *(data[:size] for size in range(len(data))), data + b"\0"]:
        _overwrite(path, content)
        with pytest.raises(CorruptSegmentError, match="segment 0 of encode_video"):
            store.read_blob(key, 0)
        path.write_bytes(data)
    assert store.read_blob(key, 0) == b"one piece of video"


CALLS = ("open", "close", "write", "fsync", "link", "unlink", "mkdir", "rename", "stat")


@pytest.mark.parametrize("links", [True, False])
def test_a_writer_that_dies_between_any_two_steps_leaves_the_segment_whole_or_absent(
    tmp_path: Path, links: bool
) -> None:
    """The writer, a forked process, leaves at its n-th system call, for every n until it gets through."""
    data, absent = b"".join(encode_shard(SPEC, FRAMES[:4])), 0
    for steps in range(1, 100):
        root = tmp_path / str(steps)
        store = Store(root)
        store.create(KEY, SPEC, {})
        exit_code = _publish_and_die(partial(_publish, root, data), steps, links)
        if exit_code == 0:
            break
        assert exit_code == 9
        missing = Store(root).missing(KEY)
        assert missing in ([0, 1], [1])
        absent += missing == [0, 1]
        if missing == [1]:
            assert np.array_equal(Store(root).read(KEY, FrameRange(0, 4)), FRAMES[:4])
        again = _run(root)
        assert again.computed == {KEY.stage: len(missing)}
        assert np.array_equal(again.read(KEY, ALL), FRAMES)
        assert gc(root).kept_bytes > 0
    assert steps > 10
    assert 0 < absent < steps - 1


def _publish(root: Path, data: bytes) -> None:
    folder = root.joinpath(*FOLDER)
    publish(root, folder / "c.0.0.0.0", [data], pool=root / "v1" / ".segments" / KEY.stage / "00" / ("0" * 40))


def _publish_and_die(call: Callable[[], None], steps: int, links: bool) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = steps

    def dying(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left <= 0:
                os._exit(9)
            if name == "link" and not links:
                raise PermissionError(1, "Operation not permitted")
            if name == "write":
                return original(arguments[0], arguments[1][:200])  # type: ignore[index]
            return original(*arguments, **options)

        return counted

    for name in CALLS:
        setattr(os, name, dying(name, getattr(os, name)))
    try:
        call()
        os._exit(0)
    finally:
        os._exit(1)  # instead of pytest's own way out, in a child that must not report


def test_flow_is_guarded_as_frames_are(tmp_path: Path) -> None:
    key, spec = StageKey("estimate_flow", ("a",)), flow_spec(3, 4, 8, 4, "exact")
    flow = np.random.default_rng(5).normal(size=spec.shape).astype(np.float32)
    store = Store(tmp_path)
    store.create(key, spec, {})
    store.write(key, 0, flow)
    path = entry_folder(tmp_path, key.stage, key.digest) / "c.0.0.0.0.0"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    _overwrite(path, data)
    with pytest.raises(CorruptSegmentError):
        store.read(key, FrameRange(0, 3))
