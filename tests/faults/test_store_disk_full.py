"""A disk that fills up in mid-run: said in one line, nothing half-written stays, and the run goes on later."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cache.keys import StageKey
from cache.layout import frames_spec
from cache.room import require_room, room
from cache.store import Store
from propainter.core.errors import DiskFullError, StoreError

KEY = StageKey("refine_frames", tuple("abcdefghij"))
SPEC = frames_spec(40, 64, 64, 3, 4, "default")
FRAMES = np.random.default_rng(1).integers(0, 255, SPEC.shape, dtype=np.uint8)  # random: about 49 kB a segment


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB, where this process may mount one."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system may not be mounted here; the test beside this one has the disk full by decree")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def _fill(store: Store) -> None:
    """Write what is missing; with the disk full, this raises half way."""
    store.create(KEY, SPEC, {})
    for index in store.missing(KEY):
        frames = SPEC.segment(index)
        store.write(KEY, index, FRAMES[frames.start : frames.stop])


def _assert_clean(root: Path) -> int:
    """How many segments are there: each whole, and beside them nothing half-written."""
    assert list((root / ".tmp").iterdir()) == []
    store = Store(root)
    store.create(KEY, SPEC, {})
    absent = store.missing(KEY)
    for index in set(range(SPEC.segments)) - set(absent):
        frames = SPEC.segment(index)
        assert np.array_equal(store.read(KEY, frames), FRAMES[frames.start : frames.stop])
    return SPEC.segments - len(absent)


def test_a_run_on_a_small_disk_stops_cleanly_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    root, ballast = small_disk / "cache", small_disk / "ballast"
    ballast.write_bytes(bytes(64 * 1024))
    with pytest.raises(DiskFullError, match=r"^no space left.*--cache DIR.*$"):
        _fill(Store(root))
    stopped_at = _assert_clean(root)
    assert stopped_at > 0
    ballast.unlink()
    with pytest.raises(DiskFullError):
        _fill(Store(root))
    assert stopped_at < _assert_clean(root) < SPEC.segments


@pytest.mark.parametrize(
    ("call", "code"),
    [("write", errno.ENOSPC), ("write", errno.EDQUOT), ("fsync", errno.ENOSPC), ("link", errno.ENOSPC),
     ("open", errno.ENOSPC)],
)  # fmt: skip
def test_wherever_the_system_says_full_each_segment_is_absent_or_whole_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """Full from the n-th such call on: in the header, in a segment, at its commit or after it."""
    original = getattr(os, call)
    for allowed in (0, 1, 2, 3, 4, 5, 6, 7, 12):
        root = tmp_path / str(allowed)
        store, left = Store(root), allowed

        def refuse(*arguments: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(code, os.strerror(code))
            return original(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, refuse)
            with pytest.raises(DiskFullError, match="no space left"):
                _fill(store)
        _assert_clean(root)
        _fill(Store(root))
        assert _assert_clean(root) == SPEC.segments


def test_a_write_that_is_cut_short_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, original = Store(tmp_path), os.write
    store.create(KEY, SPEC, {})
    taken = 0

    def write_a_little(descriptor: int, data: bytes) -> int:
        nonlocal taken
        if taken + 1000 > 10_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken += 1000
        return original(descriptor, bytes(data[:1000]))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_a_little)
        with pytest.raises(DiskFullError):
            store.write(KEY, 0, FRAMES[:4])
    assert taken == 10_000
    assert list((tmp_path / ".tmp").iterdir()) == []
    assert store.missing(KEY) == list(range(10))
    assert store.write(KEY, 0, FRAMES[:4])


def test_a_run_that_will_not_fit_is_refused_with_numbers_before_it_starts(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    _fill(store)
    require_room(store.root, 100_000, cap_bytes=1_000_000)
    with pytest.raises(StoreError, match=r"adds 0\.9 GB to the 0\.000\d+ GB .* cache size of 0\.5 GB.*--cache-size"):
        require_room(store.root, 900_000_000, cap_bytes=500_000_000)
    with pytest.raises(DiskFullError, match=r"needs 1e\+09 GB.*--cache DIR"):
        require_room(tmp_path / "not" / "yet", 10**18, cap_bytes=None)
    assert room(tmp_path / "not" / "yet") > 0
