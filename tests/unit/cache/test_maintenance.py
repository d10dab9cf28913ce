"""Upkeep: listing, pinning, and what may go first."""

import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cache.contents import Entry
from cache.gc import _trash, gc
from cache.keys import StageKey
from cache.layout import entry_folder, frames_spec, lease_file
from cache.maintenance import list_entries, pin, stat, unpin, verify
from cache.room import used_bytes
from cache.store import Store
from propainter.core.errors import StoreError

SPEC = frames_spec(4, 8, 16, 3, 2, "default")
DAY_S = 24 * 3600


def _entry(store: Store, stage: str, digests: str, *, used_days_ago: float = 0, finished: bool = True) -> StageKey:
    key = StageKey(stage, tuple(digests))
    store.create(key, SPEC, {})
    for index in store.missing(key):
        noise = np.random.default_rng(ord(digests[index])).integers(0, 255, (2, 8, 16, 3), dtype=np.uint8)
        store.write(key, index, noise)
    if finished:
        store.finish(key)
    then = time.time() - used_days_ago * DAY_S
    os.utime(lease_file(store.root, stage, key.digest), (then, then))
    return key


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def _digests(store: Store) -> list[str]:
    return [entry.digest for entry in list_entries(store.root)]


def test_listing_has_the_one_used_last_first_and_says_what_is_incomplete(store: Store) -> None:
    old = _entry(store, "refine_frames", "ab", used_days_ago=2)
    new = _entry(store, "refine_frames", "cd", finished=False)
    first, second = list_entries(store.root)
    assert (first.digest, first.complete, first.segments) == (new.digest, False, None)
    assert (second.digest, second.complete, second.segments) == (old.digest, True, 2)
    for entry in (first, second):
        assert entry.size_bytes == sum(path.stat().st_size for path in entry.path.glob("c.*")) > 0


def test_the_total_has_one_line_per_stage(store: Store) -> None:
    _entry(store, "refine_frames", "ab")
    _entry(store, "refine_frames", "cd", finished=False)
    _entry(store, "extract_frames", "ab")
    assert [(line.stage, line.entries, line.incomplete) for line in stat(store.root)] == [
        ("extract_frames", 1, 0),
        ("refine_frames", 2, 1),
    ]


@pytest.mark.parametrize(
    "command",
    [
        list_entries,
        stat,
        partial(verify, quick=True),
        partial(gc, max_bytes=0),
        partial(pin, digest="ab"),
        partial(unpin, digest="ab"),
    ],
)
def test_where_there_is_no_cache_upkeep_says_so_and_makes_none(
    tmp_path: Path, command: Callable[[Path], object]
) -> None:
    for root in (tmp_path / "no" / "cache", tmp_path):
        with pytest.raises(StoreError, match=rf"^there is no cache in {root}\. .*--cache DIR"):
            command(root)
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_cache_nothing_is_used(tmp_path: Path) -> None:
    assert used_bytes(tmp_path / "no") == 0


def test_age_takes_the_entries_that_nobody_used_since(store: Store) -> None:
    _entry(store, "refine_frames", "ab", used_days_ago=10)
    kept = _entry(store, "refine_frames", "cd", used_days_ago=3)
    gc(store.root, max_age_s=7 * DAY_S)
    assert _digests(store) == [kept.digest]


def test_using_an_entry_again_makes_it_new(store: Store) -> None:
    created = _entry(store, "refine_frames", "ab", used_days_ago=10)
    leased = _entry(store, "refine_frames", "cd", used_days_ago=10)
    store.create(created, SPEC, {})
    with store.lease([leased]):
        pass
    assert gc(store.root, max_age_s=7 * DAY_S).removed == ()


def test_a_size_cap_takes_the_least_recently_used_first_and_no_more_than_it_must(store: Store) -> None:
    _entry(store, "refine_frames", "ab", used_days_ago=3)
    kept = [
        _entry(store, "refine_frames", "ef", used_days_ago=1),
        _entry(store, "refine_frames", "cd", used_days_ago=2),
    ]
    before = used_bytes(store.root)
    collected = gc(store.root, max_bytes=before - 1)
    assert _digests(store) == [key.digest for key in kept]
    assert used_bytes(store.root) == collected.kept_bytes == before - collected.freed_bytes
    assert gc(store.root, max_bytes=before).removed == ()


def test_a_shared_segment_counts_once_and_stays_as_long_as_one_entry_has_it(store: Store) -> None:
    _entry(store, "refine_frames", "ab", used_days_ago=3)
    alone = used_bytes(store.root)
    kept = _entry(store, "refine_frames", "ac")
    assert used_bytes(store.root) == pytest.approx(1.5 * alone, rel=0.01)
    collected = gc(store.root, max_age_s=DAY_S)
    assert collected.freed_bytes == pytest.approx(alone / 2, rel=0.01)
    assert Store(store.root).missing(kept) == []
    assert len(list(store.root.glob("v1/.segments/*/*/*"))) == 2
    gc(store.root, max_bytes=0)
    assert [
        path for path in store.root.rglob("*") if path.is_file() and path.name not in ("journal.jsonl", ".repair")
    ] == []


def test_a_segment_that_only_the_pool_still_has_counts_until_gc_frees_it(store: Store) -> None:
    key = _entry(store, "refine_frames", "ab")
    _entry(store, "refine_frames", "ac")
    whole = used_bytes(store.root)
    shutil.rmtree(entry_folder(store.root, key.stage, key.digest))
    assert used_bytes(store.root) == whole
    collected = gc(store.root)
    assert collected.freed_bytes == pytest.approx(whole / 3, rel=0.01)
    assert used_bytes(store.root) == collected.kept_bytes == whole - collected.freed_bytes


def test_two_collections_at_once_do_not_both_count_what_is_freed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _entry(store, "refine_frames", "ab")
    _entry(store, "refine_frames", "ac", used_days_ago=1)
    before = used_bytes(store.root)
    collected = []

    def after_another(root: Path, entry: Entry) -> object:
        monkeypatch.undo()
        collected.append(gc(root, max_bytes=0))
        return _trash(root, entry)

    monkeypatch.setattr("cache.gc._trash", after_another)
    collected.append(gc(store.root, max_bytes=0))
    assert [(len(each.removed), each.in_use, each.freed_bytes, each.kept_bytes) for each in collected] == [
        (2, (), before, 0),
        (0, (), 0, 0),
    ]


def test_a_pinned_entry_stays_until_it_is_unpinned(store: Store) -> None:
    key = _entry(store, "refine_frames", "ab", used_days_ago=10)
    assert pin(store.root, key.digest[:8]).digest == key.digest
    assert list_entries(store.root)[0].pinned
    collected = gc(store.root, max_bytes=0, max_age_s=0)
    assert (collected.removed, [entry.digest for entry in collected.in_use]) == ((), [key.digest])
    unpin(store.root, key.digest)
    assert [entry.digest for entry in gc(store.root, max_bytes=0).removed] == [key.digest]


def test_a_name_that_fits_no_entry_or_several_is_refused(store: Store) -> None:
    _entry(store, "refine_frames", "ab")
    _entry(store, "extract_frames", "ab")
    for digest in ("", "not-a-digest"):
        with pytest.raises(StoreError, match="cache ls"):
            pin(store.root, digest)


def test_temporary_files_are_swept_after_a_day_and_quarantine_after_a_week(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store.root / ".tmp" / "stray").write_bytes(b"half a shard")
    (store.root / ".quarantine" / "bad").write_bytes(b"a bad shard")
    (store.root / ".trash" / "killed-gc").mkdir()
    left = []
    for days in (0, 2, 8):
        now = time.time() + days * DAY_S
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda now=now: now)
            gc(store.root)
        left.append(
            sorted(path.name for name in (".tmp", ".quarantine", ".trash") for path in (store.root / name).iterdir())
        )
    assert left == [["bad", "stray"], ["bad"], []]


def test_a_lease_without_an_entry_is_swept_when_it_is_old_and_nobody_holds_it(store: Store) -> None:
    used = _entry(store, "refine_frames", "ab", used_days_ago=2)
    never, held, fresh = (StageKey("refine_frames", (name,)) for name in ("never", "held", "fresh"))
    with store.lease([never, fresh]):
        pass
    with store.lease([held]):
        for key, days in ((never, 2.0), (held, 2.0), (fresh, 0.5)):
            then = time.time() - days * DAY_S
            os.utime(lease_file(store.root, key.stage, key.digest), (then, then))
        gc(store.root)
        left = [key for key in (used, never, held, fresh) if lease_file(store.root, key.stage, key.digest).exists()]
    assert left == [used, held, fresh]


def test_a_sound_cache_verifies_and_says_how_much_it_looked_at(store: Store) -> None:
    _entry(store, "refine_frames", "ab")
    _entry(store, "extract_frames", "ab", finished=False)
    for quick in (True, False):
        found = verify(store.root, quick=quick)
        assert (found.entries, found.segments, found.faults) == (2, 4, ())
    assert len(_digests(store)) == 2


def test_an_entry_that_is_just_being_made_is_no_fault(store: Store) -> None:
    key = _entry(store, "refine_frames", "ab")
    folder = list_entries(store.root)[0].path
    for path in folder.iterdir():
        if path.name != "zarr.json":
            path.unlink()
    assert verify(store.root, quick=False).faults == ()
    assert (folder / "zarr.json").exists()
    store.create(key, SPEC, {})
    assert store.missing(key) == []
