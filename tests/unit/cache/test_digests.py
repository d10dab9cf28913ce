"""What is remembered of a dataset: never believed when broken, and shared by runs at the same time."""

import json
from pathlib import Path
from threading import Thread

import pytest

from cache.digests import ClipRecord, DatasetIndex
from cache.store import Store


@pytest.fixture
def index(tmp_path: Path) -> DatasetIndex:
    Store(tmp_path / "cache")
    return DatasetIndex(tmp_path / "cache", tmp_path / "dataset")


RECORD = ClipRecord(stamp="s", content_digest="d", frames=12, height_px=48, width_px=64)


def test_what_was_learned_is_there_for_the_next_run_and_for_no_other_dataset(
    index: DatasetIndex, tmp_path: Path
) -> None:
    index.update({"a": RECORD, "b": ClipRecord(stamp="t", fault="one frame")})
    again = DatasetIndex(tmp_path / "cache", tmp_path / "dataset" / ".." / "dataset")
    assert again.load() == {"a": RECORD, "b": ClipRecord(stamp="t", fault="one frame")}
    assert DatasetIndex(tmp_path / "cache", tmp_path / "other").load() == {}


def test_what_is_gone_is_forgotten_and_the_rest_stays(index: DatasetIndex) -> None:
    index.update({"a": RECORD, "b": RECORD})
    index.update({"c": RECORD}, gone=["a"])
    assert index.load().keys() == {"b", "c"}


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
def test_an_index_that_is_cut_off_counts_as_none_and_is_made_anew(index: DatasetIndex, cut: int) -> None:
    index.update({"a": RECORD})
    index.path.write_bytes(index.path.read_bytes()[:cut])
    assert index.load() == {}
    index.update({"b": RECORD})
    assert index.load() == {"b": RECORD}


def test_one_changed_character_in_a_digest_is_noticed(index: DatasetIndex) -> None:
    index.update({"a": RECORD})
    index.path.write_text(index.path.read_text().replace('"content_digest": "d"', '"content_digest": "e"'))
    assert index.load() == {}


@pytest.mark.parametrize("content", ["[]", "null", '{"schema": 1}', '{"schema": 1, "crc32c": 0, "clips": 3}'])
def test_a_file_of_another_kind_counts_as_none(index: DatasetIndex, content: str) -> None:
    index.update({"a": RECORD})
    index.path.write_text(content)
    assert index.load() == {}


def test_of_writers_at_the_same_time_none_loses_what_another_learned(index: DatasetIndex, tmp_path: Path) -> None:
    def learn(first: int) -> None:
        for number in range(first, first + 5):
            DatasetIndex(tmp_path / "cache", tmp_path / "dataset").update({str(number): RECORD})

    writers = [Thread(target=learn, args=(first,)) for first in (0, 5, 10)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert index.load().keys() == {str(number) for number in range(15)}


def test_the_file_says_where_the_flow_of_a_clip_lies(index: DatasetIndex, tmp_path: Path) -> None:
    index.update({"a": ClipRecord(stamp="s", flow="key")})
    held = json.loads(index.path.read_text())
    assert held["dataset"] == str(tmp_path / "dataset")
    assert held["clips"]["a"]["flow"] == "key"
