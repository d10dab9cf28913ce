"""The store against a plain dict: whatever happens in whatever order, the two say the same."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cache.gc import gc
from cache.keys import StageKey
from cache.layout import entry_folder, frames_spec
from cache.maintenance import list_entries, pin, unpin, verify
from cache.store import Store
from propainter.core.errors import CorruptSegmentError, MissingSegmentError, StoreError
from propainter.core.frames import FrameRange

SPEC = frames_spec(5, 4, 8, 3, 2, "default")
LENGTHS = (2, 2, 1)
KEYS = [StageKey("refine_frames", digests) for digests in (("a", "b", "c"), ("a", "x", "c"), ("b", "a", "c"))]
keys = st.sampled_from(KEYS)
segments = st.integers(0, 2)


@dataclass(eq=False)
class File:
    """One file, under however many names. frame: the one that was changed; cut: its end is lost."""

    frames: np.ndarray
    frame: int | None = None
    cut: bool = False


Name = tuple[str, int]


class StoreAgainstADict(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.store = Store(self.root)
        self.writes = 0
        self.created: set[StageKey] = set()
        self.pinned: set[StageKey] = set()
        self.entries: dict[StageKey, dict[int, File]] = {key: {} for key in KEYS}
        self.pool: dict[Name, File] = {}
        self.manifests: dict[StageKey, set[int]] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def _name(self, key: StageKey, segment: int) -> Name:
        return key.segments[segment], LENGTHS[segment]

    def _path(self, key: StageKey, segment: int) -> Path:
        return entry_folder(self.root, key.stage, key.digest) / f"c.{segment}.0.0.0"

    def _quarantine(self, key: StageKey, segment: int) -> None:
        file = self.entries[key].pop(segment)
        self.manifests.pop(key, None)
        if self.pool.get(self._name(key, segment)) is file:
            del self.pool[self._name(key, segment)]

    def _expect(self, error: type[Exception], call: Callable[[], object]) -> None:
        try:
            call()
        except error:
            return
        raise AssertionError(f"no {error.__name__}")

    @initialize()
    def begin(self) -> None:
        self.create(KEYS[0])

    @rule(key=keys)
    def create(self, key: StageKey) -> None:
        self.store.create(key, SPEC, {"segments": list(key.segments)})
        self.created.add(key)

    @rule()
    def reopen(self) -> None:
        self.store = Store(self.root)

    @rule(key=keys, segment=segments)
    def write(self, key: StageKey, segment: int) -> None:
        self.writes += 1
        frames = np.random.default_rng(self.writes).integers(0, 9, (LENGTHS[segment], 4, 8, 3), dtype=np.uint8)
        if key not in self.created:
            self._expect(MissingSegmentError, lambda: self.store.write(key, segment, frames))
            return
        won = self.store.write(key, segment, frames)
        assert won == (segment not in self.entries[key])
        if won:
            self.entries[key][segment] = File(frames)
            self.pool.setdefault(self._name(key, segment), self.entries[key][segment])

    @rule(key=keys, start=st.integers(0, 5), length=st.integers(0, 5))
    def read(self, key: StageKey, start: int, length: int) -> None:
        frames = FrameRange(start, min(5, start + length))
        if key not in self.created:
            self._expect(MissingSegmentError, lambda: self.store.read(key, frames))
            return
        expected = []
        for segment in range(3):
            part = SPEC.segment(segment).clip(frames)
            if not len(part):
                continue
            file = self.entries[key].get(segment)
            if file is None:
                self._expect(MissingSegmentError, lambda: self.store.read(key, frames))
                return
            touched = part.slice_in(SPEC.segment(segment))
            if file.cut or (file.frame is not None and touched.start <= file.frame < touched.stop):
                self._expect(CorruptSegmentError, lambda: self.store.read(key, frames))
                self._quarantine(key, segment)
                return
            expected.append(file.frames[touched])
        got = self.store.read(key, frames)
        assert len(got) == len(frames)
        if expected:
            assert np.array_equal(got, np.concatenate(expected))

    @rule(key=keys)
    def missing(self, key: StageKey) -> None:
        if key not in self.created:
            assert self.store.missing(key) == [0, 1, 2]
            return
        for segment in range(3):
            file = self.entries[key].get(segment)
            if file and file.cut:
                self._quarantine(key, segment)
            name = self._name(key, segment)
            if segment not in self.entries[key] and name in self.pool:
                if self.pool[name].cut:
                    del self.pool[name]
                else:
                    self.entries[key][segment] = self.pool[name]
        assert self.store.missing(key) == [segment for segment in range(3) if segment not in self.entries[key]]

    @rule(key=keys)
    def finish(self, key: StageKey) -> None:
        if key not in self.created:
            self._expect(MissingSegmentError, lambda: self.store.finish(key))
            return
        files = self.entries[key]
        for segment in range(3):
            if segment not in files:
                self._expect(MissingSegmentError, lambda: self.store.finish(key))
                return
            if files[segment].cut:
                self._expect(CorruptSegmentError, lambda: self.store.finish(key))
                self._quarantine(key, segment)
                return
        self.store.finish(key)
        self.manifests[key] = {0, 1, 2}

    @rule(key=keys, segment=segments)
    def flip_a_bit_of_the_last_frame(self, key: StageKey, segment: int) -> None:
        file = self.entries[key].get(segment)
        if file and not file.cut and file.frame is None:
            data = bytearray(self._path(key, segment).read_bytes())
            data[-(16 * SPEC.segment_frames + 4) - 6] ^= 4
            self._path(key, segment).write_bytes(data)
            file.frame = LENGTHS[segment] - 1

    @rule(key=keys, segment=segments)
    def cut_off_the_end(self, key: StageKey, segment: int) -> None:
        if segment in self.entries[key]:
            data = self._path(key, segment).read_bytes()
            self._path(key, segment).write_bytes(data[: len(data) // 2])
            self.entries[key][segment].cut = True

    @rule(key=keys, name=st.sampled_from(["zarr.json", "recipe.json"]))
    def lose_the_header(self, key: StageKey, name: str) -> None:
        """Nothing in the entry is believed until it is created again, and then only what the pool vouches for."""
        if key in self.created:
            (entry_folder(self.root, key.stage, key.digest) / name).unlink()
            self._expect(MissingSegmentError, lambda: self.store.read(key, FrameRange(0, 1)))
            assert self.store.missing(key) == [0, 1, 2]
            if self.entries[key] or key in self.manifests:
                self.entries[key] = {}
                self.manifests.pop(key, None)
                self.pinned.discard(key)
            self.create(key)

    @rule(quick=st.booleans())
    def verify(self, quick: bool) -> None:
        bad = []
        for key in KEYS:
            for segment, file in sorted(self.entries[key].items()):
                if file.cut or (not quick and file.frame is not None):
                    bad.append(self._path(key, segment))
                    self._quarantine(key, segment)
        assert sorted(fault.path for fault in verify(self.root, quick=quick).faults) == sorted(bad)

    @rule(key=keys)
    def pin(self, key: StageKey) -> None:
        if key in self.created:
            pin(self.root, key.digest)
            self.pinned.add(key)
        else:
            self._expect(StoreError, lambda: pin(self.root, key.digest))

    @rule(key=keys)
    def unpin(self, key: StageKey) -> None:
        if key in self.created:
            unpin(self.root, key.digest)
            self.pinned.discard(key)

    @rule(leased=st.sets(keys))
    def gc(self, leased: set[StageKey]) -> None:
        with self.store.lease(leased):
            removed = {entry.digest for entry in gc(self.root, max_age_s=-1).removed}
        going = self.created - self.pinned - leased
        assert removed == {key.digest for key in going}
        for key in going:
            self.created.discard(key)
            self.entries[key] = {}
            self.manifests.pop(key, None)
        held = {id(file) for files in self.entries.values() for file in files.values()}
        self.pool = {name: file for name, file in self.pool.items() if id(file) in held}

    @invariant()
    def files_and_entries_are_the_models(self) -> None:
        assert len(list(self.root.glob("v1/.segments/*/*/*"))) == len(self.pool)
        for key in KEYS:
            shards = entry_folder(self.root, key.stage, key.digest).glob("c.*")
            assert {path.name for path in shards} == {f"c.{segment}.0.0.0" for segment in self.entries[key]}
        listed = {entry.digest: entry for entry in list_entries(self.root)}
        assert listed.keys() == {key.digest for key in self.created}
        assert {digest for digest, entry in listed.items() if entry.complete} == {key.digest for key in self.manifests}
        assert {digest for digest, entry in listed.items() if entry.pinned} == {key.digest for key in self.pinned}


TestStoreAgainstADict = StoreAgainstADict.TestCase
TestStoreAgainstADict.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
