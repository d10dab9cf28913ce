"""Looking at clips again: what has not changed is not read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cache.digests import ClipRecord, DatasetIndex
from cache.store import Store
from propainter.core.errors import MediaError
from propainter.media.dataset import Clip, find_clips
from tasks.look_at_clips import Looked, look_at_clips

LONG_AGO_NS = 10**18

Look = Callable[..., Looked]


def write(path: Path, content: str, time_ns: int = LONG_AGO_NS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, ns=(time_ns, time_ns))


@pytest.fixture
def read() -> list[str]:
    """The names of the clips that were read, in order."""
    return []


@pytest.fixture
def look(tmp_path: Path, read: list[str]) -> Look:
    Store(tmp_path / "cache")

    def read_clip(clip: Clip) -> ClipRecord:
        read.append(clip.name)
        content = "".join(path.read_text() for path in sorted(clip.path.iterdir()))
        if content == "broken":
            raise MediaError("it is broken")
        return ClipRecord(stamp="", content_digest=content, frames=2)

    def look(**more: bool) -> Looked:
        clips = find_clips(tmp_path / "data")
        index = DatasetIndex(tmp_path / "cache", tmp_path / "data")
        return look_at_clips(index, clips, present={clip.name for clip in clips}, read=read_clip, **more)  # type: ignore[arg-type]

    write(tmp_path / "data" / "a" / "1.png", "A")
    write(tmp_path / "data" / "b" / "1.png", "B")
    return look


def test_a_second_look_reads_nothing_and_knows_the_same(look: Look, read: list[str]) -> None:
    first, second = look(), look()
    assert read == ["a", "b"]
    assert (first.new, second.new) == (("a", "b"), ())
    assert first.records == second.records
    assert first.records["a"].content_digest == "A"


def test_new_changed_and_removed_clips_are_told_and_only_they_are_read(
    look: Look, read: list[str], tmp_path: Path
) -> None:
    look()
    write(tmp_path / "data" / "a" / "1.png", "a")
    os.utime(tmp_path / "data" / "a" / "1.png", ns=(LONG_AGO_NS, LONG_AGO_NS + 1))
    write(tmp_path / "data" / "c" / "1.png", "C")
    (tmp_path / "data" / "b" / "1.png").unlink()
    looked = look()
    assert (looked.new, looked.changed, looked.removed) == (("c",), ("a",), ("b",))
    assert read == ["a", "b", "a", "c"]
    assert look().removed == ()


def test_a_clip_that_was_only_touched_is_read_and_is_not_changed(look: Look, read: list[str], tmp_path: Path) -> None:
    look()
    os.utime(tmp_path / "data" / "a" / "1.png", ns=(LONG_AGO_NS, LONG_AGO_NS + 1))
    assert look().changed == ()
    assert read == ["a", "b", "a"]


def test_rehash_reads_everything_and_sees_a_change_that_left_no_sign(
    look: Look, read: list[str], tmp_path: Path
) -> None:
    look()
    write(tmp_path / "data" / "a" / "1.png", "X")  # the same size, time and inode
    assert look().changed == ()
    assert look(rehash=True).changed == ("a",)
    assert read == ["a", "b", "a", "b"]


def test_a_clip_that_changed_just_now_is_read_again_the_next_time(look: Look, read: list[str], tmp_path: Path) -> None:
    (tmp_path / "data" / "a" / "1.png").write_text("now")
    look(), look()
    assert read == ["a", "b", "a"]


def test_a_fault_is_remembered_until_the_clip_changes(look: Look, read: list[str], tmp_path: Path) -> None:
    write(tmp_path / "data" / "a" / "1.png", "broken")
    assert [look().records["a"].fault, look().records["a"].fault] == ["it is broken"] * 2
    write(tmp_path / "data" / "a" / "1.png", "mended now")
    assert look().records["a"].fault is None
    assert read == ["a", "b", "a"]


def test_an_index_that_was_lost_costs_reading_and_nothing_else(look: Look, read: list[str], tmp_path: Path) -> None:
    first = look()
    for path in (tmp_path / "cache" / "datasets").iterdir():
        path.write_bytes(b"\0" * 100)
    assert look().records == first.records
    assert read == ["a", "b", "a", "b"]
