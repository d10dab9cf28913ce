from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from encoded_clips import MILLISECOND, packets_of, scene, sound_packets, stored_frames, turn_in_header, write_clip

from propainter.core.errors import DiskFullError, OutputError
from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry
from propainter.core.settings import EncodeVideo
from propainter.media.encode_spec import EncodeSpec, plan_encoding
from propainter.media.mux import write_folder, write_video
from propainter.media.piece import encode_piece
from propainter.media.source import VideoSource, open_source

UNEVEN_MS = [0, 40, 41, 90, 250, 251, 252, 400, 1000, 1033, 1034, 1100, 1300, 1301, 1400, 1500, 1501, 1700, 1800, 1900]


def rewrite(
    clip: Path, output: Path, frames: FrameRange | None = None, piece_frames: int = 7, **settings: Any
) -> tuple[str, ...]:
    """Encode a clip's frames again, in pieces, and join them."""
    with open_source(clip) as source:
        frames = frames or FrameRange(0, source.info.frames)
        spec = plan_encoding(
            source.info, EncodeVideo(**settings), Geometry.plan(source.info.height_px, source.info.width_px), output
        )
        return write_video(pieces(source, spec, frames, piece_frames), spec, source, frames, output)


def pieces(source: VideoSource, spec: EncodeSpec, frames: FrameRange, piece_frames: int = 7) -> Iterator[bytes]:
    for tile in frames.tiles(piece_frames):
        yield encode_piece(source.native(tile.core), spec)


def seconds_of(path: Path) -> list[Fraction]:
    with open_source(path) as source:
        return [time * source.info.time_base for time in source.info.times]


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("h264", "mp4"), ("h264", "mkv"), ("h264", "mov"), ("h265", "mp4"), ("h265", "mkv"), ("h265", "mov"),
        ("ffv1", "mkv"), ("prores", "mkv"), ("prores", "mov"),
    ],
)  # fmt: skip
def test_uneven_frame_times_are_kept_across_pieces(tmp_path: Path, codec: str, suffix: str) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(20), times=UNEVEN_MS)
    out = tmp_path / f"out.{suffix}"
    assert rewrite(clip, out, codec=codec) == ()
    assert seconds_of(out) == [time * MILLISECOND for time in UNEVEN_MS]
    assert len(stored_frames(out)) == 20
    if suffix != "mkv":  # which has no decoding times
        with av.open(str(out)) as container:
            turns = [(packet.dts, packet.pts) for packet in container.demux(video=0) if packet.size]
        assert all(before[0] < after[0] for before, after in pairwise(turns))
        assert all(decoded <= shown for decoded, shown in turns)


def test_times_that_no_millisecond_holds_are_exact_in_mp4(tmp_path: Path) -> None:
    times = [0, 1001, 3003, 3004, 7007, 8008]
    clip = write_clip(tmp_path / "clip.mp4", scene(6), times=times, time_base=Fraction(1, 30000))
    rewrite(clip, tmp_path / "out.mp4")
    assert seconds_of(tmp_path / "out.mp4") == [Fraction(time, 30000) for time in times]


def test_the_last_frame_is_shown_as_long_as_in_the_source(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", scene(6), time_base=Fraction(1, 25))
    rewrite(clip, tmp_path / "out.mp4")
    with open_source(clip) as before, open_source(tmp_path / "out.mp4") as after:
        assert before.info.end_time * before.info.time_base == after.info.end_time * after.info.time_base


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_sound_is_copied_packet_by_packet_with_its_times(tmp_path: Path, suffix: str) -> None:
    clip = write_clip(tmp_path / "clip.mp4", scene(20), sound_s=0.8, time_base=Fraction(1, 25))
    rewrite(clip, tmp_path / f"out.{suffix}")
    before = packets_of(clip, "audio")
    after = packets_of(tmp_path / f"out.{suffix}", "audio")
    if suffix == "mkv":  # no time before 0, and milliseconds
        before = [(time, data) for time, data in before if time >= 0]
    assert [data for _, data in after] == [data for _, data in before]
    assert max(abs(a - b) for (a, _), (b, _) in zip(after, before, strict=True)) <= Fraction(1, 1000)


def test_a_cut_begins_where_the_film_began_and_keeps_picture_and_sound_together(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(20), times=UNEVEN_MS, sound_s=2.5)
    rewrite(clip, tmp_path / "out.mp4", FrameRange(4, 12))
    assert seconds_of(tmp_path / "out.mp4") == [(time - 250) * MILLISECOND for time in UNEVEN_MS[4:12]]
    kept = packets_of(tmp_path / "out.mp4", "audio")
    there = [(time, data) for time, data in packets_of(clip, "audio") if Fraction(25, 100) <= time < Fraction(13, 10)]
    assert [data for _, data in kept] == [data for _, data in there]
    assert abs((kept[0][0] + Fraction(25, 100)) - there[0][0]) < Fraction(1, 10_000)


def with_extras(path: Path) -> Path:
    """A film with two languages, subtitles, a chapter and a title."""
    picture = write_clip(path.with_name("picture.mkv"), scene(10), sound_s=0.5)
    with av.open(str(picture)) as source, av.open(str(path), "w") as container:
        streams: list[Any] = [container.add_stream_from_template(stream) for stream in source.streams]
        second: Any = container.add_stream("aac", rate=48_000)
        second.metadata["language"] = "fra"
        words: Any = container.add_stream("subrip")
        words.codec_context.subtitle_header = HEADER
        container.metadata["title"] = "A film"
        container.set_chapters(
            [{"id": 1, "start": 100, "end": 300, "time_base": MILLISECOND, "metadata": {"title": "Middle"}}]
        )
        container.start_encoding()
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                container.mux(packet)
        for packet in sound_packets(second, 0.5):
            container.mux(packet)
        for start_ms, text in ((0, b"first"), (200, b"second")):
            line: Any = av.Packet(text)
            line.stream, line.pts, line.dts, line.duration = words, start_ms, start_ms, 150
            line.time_base = MILLISECOND
            container.mux(line)
    return path


HEADER = b"[Script Info]\r\nScriptType: v4.00+\r\n"


def test_every_sound_subtitle_chapter_and_tag_goes_along(tmp_path: Path) -> None:
    clip = with_extras(tmp_path / "clip.mkv")
    assert rewrite(clip, tmp_path / "out.mkv") == ()
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio", "audio", "subtitle"]
        assert container.streams[2].language == "fra"
        assert container.metadata["title"] == "A film"
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["Middle"]
    lines = packets_of(tmp_path / "out.mkv", "subtitle")
    assert lines == [(Fraction(0), b"first"), (Fraction(200, 1000), b"second")]


def test_a_subtitle_that_a_cut_begins_in_is_shown_from_the_cut_on(tmp_path: Path) -> None:
    clip = with_extras(tmp_path / "clip.mkv")
    rewrite(clip, tmp_path / "out.mkv", FrameRange(2, 8))
    lines = packets_of(tmp_path / "out.mkv", "subtitle")
    assert lines == [(Fraction(0), b"first"), (Fraction(120, 1000), b"second")]


def test_what_the_container_does_not_hold_is_left_out_and_said(tmp_path: Path) -> None:
    clip = with_extras(tmp_path / "clip.mkv")
    (notice,) = rewrite(clip, tmp_path / "out.mp4")
    assert "subtitle stream 3 (srt) of clip.mkv cannot be copied into mp4" in notice
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams][:3] == ["video", "audio", "audio"]
        assert not container.streams.subtitles


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_the_file_is_the_same_bytes_each_time(tmp_path: Path, suffix: str) -> None:
    clip = write_clip(tmp_path / "clip.mp4", scene(10), sound_s=0.4)
    rewrite(clip, tmp_path / f"a.{suffix}")
    rewrite(clip, tmp_path / f"b.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.parametrize(("codec", "suffix"), [("h264", "mp4"), ("h264", "mkv"), ("h265", "mp4"), ("prores", "mov")])
def test_colour_tags_and_the_shape_of_pixels_are_kept(tmp_path: Path, codec: str, suffix: str) -> None:
    tags = {"colorspace": 1, "color_range": 1, "color_primaries": 1, "color_trc": 1}
    clip = write_clip(tmp_path / "clip.mp4", scene(3), tags={**tags, "sample_aspect_ratio": Fraction(4, 3)})
    rewrite(clip, tmp_path / f"out.{suffix}", codec=codec)
    with open_source(clip) as before, open_source(tmp_path / f"out.{suffix}") as after:
        assert after.info.colour == before.info.colour
        assert after.info.sample_aspect == Fraction(4, 3)


def test_ten_bits_and_odd_sides_come_out_as_they_went_in(tmp_path: Path) -> None:
    deep = write_clip(tmp_path / "deep.mkv", scene(3), pixel_format="yuv420p10le")
    odd = write_clip(tmp_path / "odd.mkv", scene(3, 51, 67), codec="ffv1", pixel_format="yuv420p")
    rewrite(deep, tmp_path / "deep.mp4")
    rewrite(odd, tmp_path / "odd.mp4")
    with open_source(tmp_path / "deep.mp4") as source:
        assert source.info.pixel_format == "yuv420p10le"
    with open_source(tmp_path / "odd.mp4") as source, open_source(odd) as before:
        assert (source.info.height_px, source.info.width_px) == (51, 67)
        difference = np.abs(source.read(FrameRange(0, 3)).astype(int) - before.read(FrameRange(0, 3)))
        assert difference.mean() < 3


def test_a_transport_stream_whose_clock_runs_on_from_somewhere_begins_at_0(tmp_path: Path) -> None:
    late = [10_000 + time for time in UNEVEN_MS]
    clip = write_clip(tmp_path / "clip.ts", scene(20), times=late, options={"bf": "0"})
    rewrite(clip, tmp_path / "out.mp4")
    written = seconds_of(tmp_path / "out.mp4")
    assert written[0] < Fraction(1, 10)
    assert [time - written[0] for time in written] == [time * MILLISECOND for time in UNEVEN_MS]


def test_turned_video_is_written_upright_and_not_turned_again(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", scene(3), options={"crf": "4"})
    turn_in_header(clip, (0, 1, -1, 0))
    rewrite(clip, tmp_path / "out.mp4", crf=4)
    with open_source(clip) as before, open_source(tmp_path / "out.mp4") as after:
        assert (after.info.height_px, after.info.width_px, after.info.rotation_deg) == (64, 48, 0)
        difference = np.abs(after.read(FrameRange(0, 3)).astype(int) - before.read(FrameRange(0, 3)))
        assert difference.mean() < 3


def test_h265_is_tagged_as_players_of_mp4_want_it(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", scene(3))
    rewrite(clip, tmp_path / "out.mp4", codec="h265")
    assert b"hvc1" in (tmp_path / "out.mp4").read_bytes()


def test_images_are_shown_at_the_rate_that_was_asked_for(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(5), codec="ffv1", pixel_format="bgr0")
    with open_source(clip) as source:
        spec = plan_encoding(source.info, EncodeVideo(), Geometry.plan(48, 64), tmp_path / "images")
        write_folder(pieces(source, spec, FrameRange(0, 5)), spec, FrameRange(0, 5), tmp_path / "images")
    with open_source(tmp_path / "images", save_fps=12) as source:
        spec = plan_encoding(source.info, EncodeVideo(), Geometry.plan(48, 64), tmp_path / "out.mp4")
        write_video(pieces(source, spec, FrameRange(1, 5)), spec, source, FrameRange(1, 5), tmp_path / "out.mp4")
    assert seconds_of(tmp_path / "out.mp4") == [Fraction(number, 12) for number in range(4)]


@pytest.mark.parametrize(("kept", "held"), [(slice(0, 1), 7), (slice(0, 3), 21)])
def test_pieces_that_are_not_the_range_are_refused(tmp_path: Path, kept: slice, held: int) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(21))
    with open_source(clip) as source:
        spec = plan_encoding(source.info, EncodeVideo(), Geometry.plan(48, 64), tmp_path / "out.mp4")
        made = list(pieces(source, spec, FrameRange(0, 21)))[kept]
        with pytest.raises(OutputError, match=f"hold {15 if held == 21 else held} frames for 14"):
            write_video(made, spec, source, FrameRange(0, 14), tmp_path / "out.mp4")


def test_pieces_of_another_spec_are_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(7))
    frames = FrameRange(0, 7)
    with open_source(clip) as source:
        spec = plan_encoding(source.info, EncodeVideo(), Geometry.plan(48, 64), tmp_path / "out.mp4")
        made = list(pieces(source, replace(spec, pixel_format="yuv444p"), frames))
        with pytest.raises(OutputError, match="another encoder"):
            write_video(made, spec, source, frames, tmp_path / "out.mp4")
        with pytest.raises(OutputError, match="not in the form"):
            write_video([b"no piece"], spec, source, frames, tmp_path / "out.mp4")


@pytest.mark.parametrize("codec", ["h264", "ffv1"])
def test_a_full_disk_is_said(tmp_path: Path, codec: str) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(7))
    full = tmp_path / "out.mkv"
    full.symlink_to("/dev/full")
    with pytest.raises(DiskFullError, match="no space left to write"):
        rewrite(clip, full, codec=codec)


def test_fonts_that_subtitles_need_go_along(tmp_path: Path) -> None:
    picture = write_clip(tmp_path / "picture.mkv", scene(3))
    with av.open(str(picture)) as source, av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0], opaque=True)
        container.add_attachment("a.ttf", "application/x-truetype-font", b"letters")
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    assert rewrite(tmp_path / "clip.mkv", tmp_path / "out.mkv") == ()
    with av.open(str(tmp_path / "out.mkv")) as container:
        (font,) = [stream for stream in container.streams if stream.type == "attachment"]
        assert (font.metadata["filename"], font.data) == ("a.ttf", b"letters")  # type: ignore[attr-defined]


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(7))
    with pytest.raises(OutputError, match="cannot be written"):
        rewrite(clip, tmp_path / "nowhere" / "out.mp4")
