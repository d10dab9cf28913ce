from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoded_clips import scene, stored_frames, write_clip

from propainter.core.errors import MediaError
from propainter.core.frames import FrameRange
from propainter.media.source import open_source

UNEVEN_MS = [0, 40, 41, 90, 250, 251, 252, 400, 1000, 1033]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("long.mp4", "libx264", {"g": "250", "bf": "4"}),
        ("open.mkv", "libx264", {"g": "8", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}),
        ("open.ts", "libx265", {"x265-params": "log-level=none:keyint=8:min-keyint=8:open-gop=1:scenecut=0:pools=2"}),
        ("mpeg2.mpg", "mpeg2video", {"g": "6", "bf": "2"}),
        ("short.mp4", "libx264", {"g": "2", "bf": "2"}),
        ("vp9.webm", "libvpx-vp9", {"g": "12", "lag-in-frames": "10", "auto-alt-ref": "1"}),
        ("vp8.webm", "libvpx", {"g": "12", "lag-in-frames": "10", "auto-alt-ref": "1"}),
        ("xvid.mp4", "mpeg4", {"g": "12", "bf": "2"}),
    ],
)
def test_random_ranges_equal_a_decoding_from_start_to_end(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    clip = write_clip(tmp_path / name, scene(40), codec=codec, options=options, time_base=Fraction(1, 25))
    whole = np.stack([frame.to_ndarray() for frame in stored_frames(clip)])
    random = np.random.default_rng(0)
    with open_source(clip) as source:
        assert source.info.frames == len(whole) == 40
        for _ in range(12):
            start = int(random.integers(0, 39))
            frames = FrameRange(start, min(40, start + int(random.integers(1, 6))))
            read = [frame.to_ndarray() for frame in source.native(frames)]
            assert np.array_equal(read, whole[frames.start : frames.stop]), frames


def test_ranges_that_follow_one_another_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(30), options={"g": "10", "sc_threshold": "0"})
    with open_source(clip) as source:
        starts: list[Any] = []
        restart = source._decoder.restart  # type: ignore[attr-defined]
        monkeypatch.setattr(source._decoder, "restart", lambda time: (starts.append(time), restart(time)))  # type: ignore[attr-defined]
        for start in range(12, 28, 4):
            source.read(FrameRange(start, start + 4))
        assert starts == [400]


def test_uneven_frame_times_are_kept_and_found(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "vfr.mkv", scene(10), times=UNEVEN_MS, options={"bf": "2"})
    with open_source(clip) as source:
        assert source.info.times == tuple(UNEVEN_MS)
        assert source.info.time_base == Fraction(1, 1000)
        whole = [frame.to_ndarray() for frame in stored_frames(clip)]
        assert np.array_equal(next(source.native(FrameRange(5, 6))).to_ndarray(), whole[5])


def test_a_count_in_the_header_is_not_believed(tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    write_clip(clip, scene(12), codec="mjpeg", pixel_format="yuvj420p", time_base=Fraction(1, 25))
    data = bytearray(clip.read_bytes())
    for tag, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):
        place = data.index(tag) + offset
        assert int.from_bytes(data[place : place + 4], "little") == 12
        data[place : place + 4] = (500).to_bytes(4, "little")
    clip.write_bytes(data)
    with open_source(clip) as source:
        assert source.info.frames == 12
        assert len(source.read(FrameRange(0, 12))) == 12


@pytest.mark.parametrize(
    ("name", "container_options"),
    [("cut.mkv", {}), ("cut.mp4", {"movflags": "+faststart"})],
)
def test_a_file_that_is_cut_off_reads_up_to_there_and_says_how_to_use_that(
    tmp_path: Path, name: str, container_options: dict[str, str]
) -> None:
    clip = write_clip(tmp_path / name, scene(75), options={"bf": "0"}, container_options=container_options)
    data = clip.read_bytes()
    clip.write_bytes(data[: int(len(data) * 0.7)])
    with open_source(clip) as source:
        last = source.info.frames - 1
        assert 30 < last < 74
        assert len(source.read(FrameRange(0, last))) == last
        with pytest.raises(MediaError, match=rf"frame {last} of .*{name} cannot be decoded.*Use --end {last} "):
            source.read(FrameRange(last, last + 1))
        assert len(source.read(FrameRange(last - 3, last))) == 3


def test_a_broken_frame_in_the_middle_is_named_and_those_around_it_are_read(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mov", scene(9), codec="png", pixel_format="rgb24")
    data = bytearray(clip.read_bytes())
    place = -1
    for _ in range(5):
        place = data.index(b"\x89PNG", place + 1)
    data[place : place + 64] = bytes(64)
    clip.write_bytes(data)
    with open_source(clip) as source:
        assert source.info.frames == 9
        assert len(source.read(FrameRange(0, 4))) == 4
        with pytest.raises(MediaError, match=r"frame 4 of .* cannot be decoded"):
            source.read(FrameRange(2, 6))
        assert np.array_equal(source.read(FrameRange(5, 9)), scene(9)[5:])


def test_nothing_is_printed_on_the_way(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    clip = write_clip(tmp_path / "clip.ts", scene(30), options={"g": "5"})
    clip.write_bytes(clip.read_bytes()[5000:20000])
    with open_source(clip) as source:
        source.read(FrameRange(0, 3))
    assert capfd.readouterr() == ("", "")
