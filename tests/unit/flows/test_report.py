import base64
import dataclasses
import json
import os
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from flows.manifest import (
    InputRecord,
    OutputRecord,
    RunRecord,
    StageStats,
    WeightsRecord,
    digest_output,
    read_manifest,
    write_manifest,
    wrote_output,
)
from flows.record import Tally
from flows.report import Moment, write_report
from propainter.core.errors import OutputError
from propainter.runtime.memory import MemorySample
from tasks.plan import Done

HOSTILE = '"><script>alert(1)</script>&$title<img src=x onerror=alert(2)>'


def a_record(**changes: object) -> RunRecord:
    record = RunRecord(
        inputs=(
            InputRecord(role="video", path="clips/tennis.mp4", digest="a1" * 20),
            InputRecord(role="mask", path="clips/masks", digest="b2" * 20),
        ),
        output=OutputRecord(path="out/tennis.mp4", digest="c3" * 20, frames=60, height_px=240, width_px=432),
        engine="classical",
        weights=(),
        settings={"storage": "default", "masks": {"dilation": 4, "threshold": None}},
        devices=("cpu",),
        versions={"python": "3.11.2", "torch": "2.13.0"},
        started=datetime(2025, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        ended=datetime(2025, 1, 2, 3, 4, 9, tzinfo=UTC),
        wall_s=4.0,
        peak_memory_bytes=300 << 20,
        notices=("Masks are 216x120: scaled.",),
        stages=(
            StageStats(stage="estimate_flow", segments_computed=1, segments_reused=3, segments_skipped=0,
                       seconds=2.5, bytes=5 << 20),
            StageStats(stage="complete_flow", segments_computed=0, segments_reused=0, segments_skipped=2,
                       seconds=0.0, bytes=0),
        ),
        waited_share=0.07,
        memory=(MemorySample(seconds=0.0, rss_bytes=200 << 20), MemorySample(seconds=4.0, rss_bytes=300 << 20)),
    )  # fmt: skip
    return dataclasses.replace(record, **changes)


def a_moment(frame: int = 12, hole_rows: int = 4) -> Moment:
    hole = np.zeros((16, 32), np.bool_)
    hole[:hole_rows] = True
    grey = np.full((16, 32, 3), 100, np.uint8)
    return Moment(frame=frame, time_s=frame / 24, before=grey, hole=hole, after=grey + 50)


class Page(HTMLParser):
    """Tags, attributes and words of a page, as a browser would take them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words += data

    def of(self, tag: str, name: str) -> list[str]:
        return [value for its_tag, its_name, value in self.attributes if (its_tag, its_name) == (tag, name)]


def test_a_manifest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    for record in (
        a_record(),
        a_record(
            weights=(WeightsRecord(file_name="raft.pth", sha256="d4" * 32, licence="BSD"),), notices=(), memory=()
        ),
    ):
        write_manifest(record, tmp_path / "new")
        assert read_manifest(tmp_path / "new") == record


def test_the_manifest_says_per_stage_what_was_computed_and_what_was_reused(tmp_path: Path) -> None:
    fields = json.loads(write_manifest(a_record(), tmp_path).read_bytes())
    assert fields["stages"][0] == {
        "stage": "estimate_flow", "segments_computed": 1, "segments_reused": 3, "segments_skipped": 0,
        "seconds": 2.5, "bytes": 5242880,
    }  # fmt: skip


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_manifest(a_record(), tmp_path / "one").read_bytes()
    assert write_manifest(a_record(), tmp_path / "two").read_bytes() == first


def test_a_file_name_that_is_no_text_survives_the_manifest_and_the_page(tmp_path: Path) -> None:
    path = os.fsdecode(b"clips/\xff\xfe.mp4")
    record = a_record(inputs=(InputRecord(role="video", path=path, digest="a1" * 20),))
    write_manifest(record, tmp_path)
    assert read_manifest(tmp_path).inputs[0].path == path
    assert "clips/\\udcff\\udcfe.mp4" in Page(write_report(record, [a_moment()], tmp_path)).words


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"", "not a manifest"),
        (b"[1]", "not a manifest"),
        (b'{"schema": 3}', "not a manifest"),
        (b'{"schema": 4}', "another version"),
        (b"\xff\xfe\x00", "not a manifest"),
    ],
)
def test_what_is_no_manifest_of_ours_is_refused_in_one_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(OutputError, match=said) as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / "out.mp4").write_bytes(b"film")
    assert not wrote_output(tmp_path, tmp_path / "out.mp4")


@pytest.mark.parametrize("name", ["manifest.json", "report.html"])
def test_a_failed_write_leaves_the_old_file_whole_and_no_other(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest(a_record(), tmp_path)
    write_report(a_record(), [a_moment()], tmp_path)
    before = (tmp_path / name).read_bytes()

    def full_disk(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    changed = a_record(engine="propainter")
    with pytest.raises(OutputError, match=f"{name}.*No space left"):
        write_manifest(changed, tmp_path) if name == "manifest.json" else write_report(changed, [a_moment()], tmp_path)
    assert (tmp_path / name).read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"manifest.json", "report.html"}


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="taken"):
        write_manifest(a_record(), tmp_path / "taken")


def written(output: Path, folder: Path) -> None:
    record = a_record()
    was = dataclasses.replace(record.output, path=str(output), digest=digest_output(output))
    write_manifest(dataclasses.replace(record, output=was), folder)


def test_an_output_is_ours_until_it_is_changed_or_has_another_name(tmp_path: Path) -> None:
    output, folder = tmp_path / "out.mp4", tmp_path / "report"
    assert not wrote_output(folder, output)
    output.write_bytes(b"film")
    assert not wrote_output(folder, output)
    written(output, folder)
    assert wrote_output(folder, output)
    (tmp_path / "other.mp4").write_bytes(b"film")
    assert not wrote_output(folder, tmp_path / "other.mp4")
    output.write_bytes(b"Film")
    assert not wrote_output(folder, output)
    output.unlink()
    assert not wrote_output(folder, output)


def test_a_folder_is_ours_until_a_file_in_it_is_changed_renamed_added_or_taken_away(tmp_path: Path) -> None:
    output, folder = tmp_path / "frames", tmp_path / "report"
    output.mkdir()
    first, second = output / "00000.png", output / "00001.png"

    def fill() -> None:
        for path in output.iterdir():
            path.unlink()
        first.write_bytes(b"one")
        second.write_bytes(b"two")

    fill()
    written(output, folder)
    for change in (
        lambda: second.write_bytes(b"2"),
        lambda: second.rename(output / "00002.png"),
        lambda: (output / "notes.txt").write_bytes(b""),
        second.unlink,
        lambda: (first.write_bytes(b"two"), second.write_bytes(b"one")),
    ):
        fill()
        assert wrote_output(folder, output)
        change()
        assert not wrote_output(folder, output)


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    page = Page(write_report(a_record(), [a_moment(0), a_moment(30)], tmp_path))
    sources = page.of("img", "src")
    assert len(sources) == 6
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not {"link", "iframe", "object"} & set(page.tags)
    assert not page.of("script", "src")
    assert "default-src 'none'" in page.of("meta", "content")[-1]
    assert "url(" not in page.words
    assert "http" not in page.words


def test_the_page_shows_before_hole_and_after(tmp_path: Path) -> None:
    page = Page(write_report(a_record(), [a_moment()], tmp_path))
    before, hole, after = (
        cv2.imdecode(np.frombuffer(base64.b64decode(source.split(",")[1]), np.uint8), cv2.IMREAD_COLOR_RGB).astype(int)
        for source in page.of("img", "src")
    )
    # JPEG: a few levels off. In the hole 0.4 x 100 + 0.6 x (0, 255, 0).
    assert np.abs(before - 100).max() <= 3
    assert np.abs(after - 150).max() <= 3
    assert np.abs(hole[0, 16] - (40, 193, 40)).max() <= 6
    assert np.abs(hole[15, 16] - 100).max() <= 6


def test_the_page_shows_which_part_of_the_frame_was_worked_on(tmp_path: Path) -> None:
    region = np.zeros((16, 32), np.bool_)
    region[:, 16:] = True
    page = Page(write_report(a_record(), [dataclasses.replace(a_moment(hole_rows=0), region=region)], tmp_path))
    assert "Only the bright part of the frame was worked on." in page.words
    overlaid = base64.b64decode(page.of("img", "src")[1].split(",")[1])
    picture = cv2.imdecode(np.frombuffer(overlaid, np.uint8), cv2.IMREAD_COLOR_RGB).astype(int)
    assert np.abs(picture[:, 0] - 33).max() <= 3  # JPEG: a few levels off
    assert np.abs(picture[:, 31] - 100).max() <= 3
    whole = Page(write_report(a_record(), [a_moment()], tmp_path))
    assert "worked on" not in whole.words


def test_the_page_shows_the_way_of_a_region_that_pans(tmp_path: Path) -> None:
    region, way = np.ones((16, 32), np.bool_), np.array([(4.2, 12.0), (28.0, 12.4)])
    moment = dataclasses.replace(a_moment(hole_rows=0), region=region, way=way)
    page = Page(write_report(a_record(), [moment], tmp_path))
    assert "Its middle moved along the line." in page.words
    overlaid = base64.b64decode(page.of("img", "src")[1].split(",")[1])
    picture = cv2.imdecode(np.frombuffer(overlaid, np.uint8), cv2.IMREAD_COLOR_RGB).astype(int)
    assert picture[12, 4:29, 0].min() > 150  # orange; JPEG blurs it
    assert np.abs(picture[4] - 100).max() <= 15


def test_the_moment_with_the_largest_hole_is_shown_first(tmp_path: Path) -> None:
    moments = [a_moment(0, 1), a_moment(12, 9), a_moment(24, 3)]
    assert Page(write_report(a_record(), moments, tmp_path)).of("section", "data-moment") == ["1"]


def test_the_edge_between_before_and_after_starts_on_the_middle_of_the_hole(tmp_path: Path) -> None:
    hole = np.zeros((16, 32), np.bool_)
    hole[4:8, 4:12] = True
    moments = [dataclasses.replace(a_moment(), hole=hole), a_moment(hole_rows=0)]
    assert Page(write_report(a_record(), moments, tmp_path)).of("figure", "data-at") == ["25.0", "50.0"]


def test_pictures_of_a_large_video_are_shrunk_in_proportion(tmp_path: Path) -> None:
    large = np.zeros((2160, 3840, 3), np.uint8)
    moment = Moment(frame=0, time_s=0.0, before=large, hole=np.zeros((2160, 3840), np.bool_), after=large)
    source = Page(write_report(a_record(), [moment], tmp_path)).of("img", "src")[0]
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(source.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (720, 1280, 3)


def test_the_page_says_what_was_done_what_it_cost_and_with_what(tmp_path: Path) -> None:
    words = Page(write_report(a_record(), [a_moment()], tmp_path)).words
    for said in (
        "tennis.mp4", "60 frames of 432×240", "classical", "4.0 s", "75%", "300 MiB", "1 computed, 3 cached",
        "2 skipped", "2.50 s", "Masks are 216x120: scaled.", "dilation", "torch", "2.13.0", "c3" * 20, "0:00.50",
    ):  # fmt: skip
        assert said in words, said


@pytest.mark.parametrize(("share", "said"), [(0.07, "The device waited for 7 % of the time"), (None, "")])
def test_the_page_says_for_how_much_of_the_time_the_device_waited(
    tmp_path: Path, share: float | None, said: str
) -> None:
    words = Page(write_report(a_record(waited_share=share), [a_moment()], tmp_path)).words
    assert said in words
    assert ("waited" in words) == (share is not None)


def test_devices_wait_where_nothing_is_computed_on_them() -> None:
    tally = Tally()
    assert tally.waited_share(2) is None
    tally.computed("refine_frames", Done(seconds=3.0, bytes=1))
    tally.computed("encode_video", Done(seconds=9.0, bytes=1))
    tally.worked(2.0)
    assert tally.waited_share(2) == 0.25


def test_nothing_that_a_file_is_called_becomes_markup(tmp_path: Path) -> None:
    plain = Page(write_report(a_record(), [a_moment()], tmp_path / "plain"))
    record = a_record(
        inputs=(InputRecord(role="video", path=f"clips/{HOSTILE}", digest=HOSTILE),
                InputRecord(role=HOSTILE, path=HOSTILE, digest=HOSTILE)),
        output=OutputRecord(path=HOSTILE, digest=HOSTILE, frames=60, height_px=240, width_px=432),
        engine=HOSTILE,
        settings={HOSTILE: HOSTILE, "masks": {HOSTILE: [HOSTILE]}},
        devices=(HOSTILE,),
        versions={HOSTILE: HOSTILE, "torch": "2"},
        notices=(HOSTILE,),
        stages=tuple(dataclasses.replace(stage, stage=HOSTILE) for stage in a_record().stages),
    )  # fmt: skip
    page = Page(write_report(record, [a_moment()], tmp_path / "hostile"))
    for tag in ("script", "img", "svg", "rect"):
        assert page.tags.count(tag) == plain.tags.count(tag), tag
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert page.words.count(HOSTILE) >= 14


def test_a_run_with_nothing_to_tell_still_gives_a_page(tmp_path: Path) -> None:
    record = a_record(stages=(), memory=(), notices=(), settings={}, versions={}, wall_s=0.0)
    text = write_report(record, [], tmp_path).read_text("utf-8")
    assert "too short for a curve" in text
    assert not re.search(r"nan|inf\b", text.split("<body>")[1].split("<script>")[0])


def test_the_memory_curve_stays_inside_its_frame(tmp_path: Path) -> None:
    memory = tuple(MemorySample(seconds=float(second), rss_bytes=second * 10**9) for second in (1, 3, 7))
    points = Page(write_report(a_record(memory=memory), [a_moment()], tmp_path)).of("polyline", "points")
    pairs = [tuple(map(float, point.split(","))) for point in points[0].split()]
    # 7e9 bytes under a grid of 2 GiB lines, whose top is 8 GiB = 8.59e9: 100 - 100 * 7 / 8.59 from the top.
    assert pairs == [(142.9, 88.36), (428.6, 65.08), (1000.0, 18.51)]
