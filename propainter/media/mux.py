"""Joining encoded pieces by copying: into a file with the source's frame times, sound and subtitles, or a folder.

Nothing here decodes or encodes. The bytes of the result depend on the pieces and the source alone.
"""

import errno
import heapq
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from propainter.core.errors import DiskFullError, OutputError
from propainter.core.frames import FrameRange
from propainter.media.copies import Cut, add_copies, chapters_of, clock_start_of, copied_packets, lasting_tags
from propainter.media.decoder import open_container
from propainter.media.encode_spec import ENCODERS, EncodeSpec
from propainter.media.info import VideoInfo, VideoSource
from propainter.media.piece import configure, unpack_piece


def write_video(
    pieces: Iterable[bytes], spec: EncodeSpec, source: VideoSource, frames: FrameRange, output_tmp: Path
) -> tuple[str, ...]:
    """Write the file, and have it on the disk before returning.

    Args:
        pieces: in order, together exactly `frames`.
        output_tmp: overwritten if it exists; of a failed run, the caller removes it.

    Returns:
        One-line remarks on what of the source could not be kept.

    Raises:
        OutputError: the file cannot be written, or the pieces are not of this spec and range.
        DiskFullError: no space left.
    """
    with _plain_errors(output_tmp):
        target = av.open(str(output_tmp), "w", format=spec.container, container_options=_container_options(spec))
        try:
            video = _add_video(target, spec, source.info.time_base)
            if source.info.is_folder:
                notices: tuple[str, ...] = ()
                cut = Cut.of(source.info, frames, Fraction(0))
                _write(target, _video_packets(pieces, spec, source.info, frames, cut, video))
            else:
                with open_container(source.info.path) as original:
                    cut = Cut.of(source.info, frames, clock_start_of(original))
                    packets = _video_packets(pieces, spec, source.info, frames, cut, video)
                    copies, notices = add_copies(target, original, spec, source.info)
                    target.metadata.update(lasting_tags(original.metadata))
                    target.set_chapters(chapters_of(original, cut))
                    copied = copied_packets(original, copies, cut, spec)
                    _write(target, heapq.merge(packets, copied, key=lambda timed: timed[0]))
        finally:
            target.close()
        _sync(output_tmp)
    return notices


def write_folder(pieces: Iterable[bytes], spec: EncodeSpec, frames: FrameRange, output_tmp_dir: Path) -> None:
    """Write frames as 00000.png and on, numbered as in the source, and have them on the disk before returning.

    Raises:
        OutputError: the folder cannot be written, or the pieces are not those of this range.
        DiskFullError: no space left.
    """
    number = frames.start
    with _plain_errors(output_tmp_dir):
        output_tmp_dir.mkdir(parents=True, exist_ok=True)
        for data in pieces:
            for packet in unpack_piece(data).packets:
                path = output_tmp_dir / f"{number:05d}.png"
                path.write_bytes(packet.payload)
                _sync(path)
                number += 1
        _sync(output_tmp_dir)
    _check_count(number - frames.start, frames)


def _container_options(spec: EncodeSpec) -> dict[str, str]:
    # Bit-exact: no date, no random ids. Times stay as they are given: B-frames are decoded before time 0.
    options = {"fflags": "+bitexact"}
    if spec.container == "matroska":
        options["avoid_negative_ts"] = "disabled"
    return options


def _add_video(target: OutputContainer, spec: EncodeSpec, time_base: Fraction) -> VideoStream:
    """A stream whose header is that of an encoder of the same spec, which is opened for this and given no frame."""
    stream = target.add_stream(ENCODERS[spec.codec], rate=spec.frame_rate, width=spec.width_px, height=spec.height_px)
    video = cast(VideoStream, stream)
    configure(video.codec_context, spec)
    video.time_base = time_base
    return video


def _video_packets(
    pieces: Iterable[bytes], spec: EncodeSpec, info: VideoInfo, frames: FrameRange, cut: Cut, stream: VideoStream
) -> "Iterator[tuple[Fraction, Packet[Any]]]":
    """Packets in decoding order with the seconds at which they are decoded.

    The k-th is decoded when frame k - reorder_frames is shown: that rises strictly, and is never after its own time.
    """
    first, stop = frames.start, frames.stop
    ends = [*info.times[1:], info.end_time]
    shift = round(cut.shift_s / info.time_base)
    lead = spec.reorder_frames
    decoded = 0
    for data in pieces:
        piece = unpack_piece(data)
        piece_first = first + decoded
        if piece.extradata != (stream.codec_context.extradata or b""):
            raise OutputError("encoded pieces were made by another encoder version. Run again with --fresh.")
        for kept in piece.packets:
            number = piece_first + kept.shown
            if number >= stop:
                _check_count(decoded + 1, frames)
            packet: Packet[Any] = Packet(kept.payload)
            packet.stream = stream
            packet.time_base = info.time_base
            packet.pts = info.times[number] - shift
            turn = first + decoded - lead
            early = max(first - turn, 0)
            packet.dts = info.times[max(turn, first)] - shift - early * (ends[first] - info.times[first])
            packet.duration = ends[number] - info.times[number]
            packet.is_keyframe = kept.is_keyframe
            decoded += 1
            yield packet.dts * info.time_base, packet
    _check_count(decoded, frames)


def _check_count(count: int, frames: FrameRange) -> None:
    if count != len(frames):
        raise OutputError(f"encoded pieces hold {count} frames for {len(frames)} ({frames}). Run again with --fresh.")


def _write(target: OutputContainer, timed: "Iterable[tuple[Fraction, Packet[Any]]]") -> None:
    target.start_encoding()
    for _, packet in timed:
        target.mux_one(packet)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _plain_errors(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"no space left to write the result in {output.parent}. Free some, or give another place with -o; "
                "what is computed is kept."
            ) from None
        raise OutputError(f"{output} cannot be written: {error.strerror}. Give another place.") from None
    except av.FFmpegError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror}. Give another place or --codec.") from None
