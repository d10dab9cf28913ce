"""What goes along with the picture: sound, subtitles, attachments, chapters and tags, copied and never decoded."""

import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from propainter.core.frames import FrameRange
from propainter.media.decoder import main_video, packets_of
from propainter.media.encode_spec import EncodeSpec
from propainter.media.info import VideoInfo

if TYPE_CHECKING:
    from av.container.core import Chapter

_OF_THE_FILE = frozenset({"encoder", "creation_time", "major_brand", "minor_version", "compatible_brands"})
"""Tags that tell of the source file rather than of the film in it."""

_RUNNING_CLOCKS = frozenset({"mpegts", "mpeg"})
_COPIED_KINDS = frozenset({"audio", "subtitle", "attachment"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The part of the source's time that is written, and what is taken from all times.

    start_s, end_s: None where nothing is cut there. shift_s: lets a film with a cut start begin when the whole did,
    and one from a transport stream, whose clock runs on from somewhere, begin at 0.
    """

    start_s: Fraction | None
    end_s: Fraction | None
    shift_s: Fraction

    @classmethod
    def of(cls, info: VideoInfo, frames: FrameRange, clock_start_s: Fraction) -> "Cut":
        start_s = info.times[frames.start] * info.time_base
        return cls(
            start_s=start_s if frames.start > 0 else None,
            end_s=info.times[frames.stop] * info.time_base if frames.stop < info.frames else None,
            shift_s=start_s - info.times[0] * info.time_base + clock_start_s,
        )

    def keeps(self, start_s: Fraction, end_s: Fraction) -> bool:
        return (self.start_s is None or end_s > self.start_s) and (self.end_s is None or start_s < self.end_s)


def add_copies(
    target: OutputContainer, original: InputContainer, spec: EncodeSpec, info: VideoInfo
) -> tuple[dict[int, Stream], tuple[str, ...]]:
    """Streams to copy into, by the index of their original, and remarks on those that the container does not hold."""
    kept: dict[int, Stream] = {}
    notices = []
    main = main_video(original, info.path)
    for stream in original.streams:
        if stream.index == main.index or stream.type not in _COPIED_KINDS:
            continue
        if not _holds(spec.container, stream):
            name = stream.codec_context.name if stream.codec_context else "unknown"
            way_out = "" if spec.container == "matroska" else " Write to .mkv to keep it."
            notices.append(
                f"The {stream.type} stream {stream.index} ({name}) of {info.path.name} cannot be copied into "
                f"{spec.container} and is left out.{way_out}"
            )
            continue
        copy = target.add_stream_from_template(stream)
        copy.metadata.update(lasting_tags(stream.metadata))
        copy.disposition = stream.disposition
        if stream.type != "attachment":
            kept[stream.index] = copy
    return kept, tuple(notices)


def _holds(container: str, stream: Stream) -> bool:
    """Some containers refuse only when the header is written, so one is, to nowhere."""
    trial = av.open(io.BytesIO(), "w", format=container)
    try:
        trial.add_stream_from_template(stream)
        trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    else:
        return True
    finally:
        with suppress(av.FFmpegError):
            trial.close()


def copied_packets(
    original: InputContainer, copies: dict[int, Stream], cut: Cut, spec: EncodeSpec
) -> "Iterator[tuple[Fraction, Packet[Any]]]":
    """Sound and subtitles of the cut. A subtitle that began before it is shown from its start on."""
    if not copies:
        return
    for packet in packets_of(original.demux(*(original.streams[index] for index in copies))):
        shown = packet.pts if packet.pts is not None else packet.dts
        if shown is None:
            continue
        copy = copies[packet.stream_index]
        unit = packet.time_base
        length = packet.duration or 0
        if not cut.keeps(shown * unit, (shown + max(length, 1)) * unit):
            continue
        if cut.start_s is not None and shown * unit < cut.start_s:
            if copy.type != "subtitle":
                continue
            begun, shown = shown, ceil(cut.start_s / unit)
            packet.pts = packet.dts = shown
            packet.duration = max(begun + length - shown, 1)
        shift = round(cut.shift_s / unit)
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        if spec.container == "matroska" and shown - shift < 0:
            continue  # Matroska has no time before 0; this is a sound decoder's run-up.
        packet.stream = copy
        yield (shown - shift) * unit, packet


def chapters_of(original: InputContainer, cut: Cut) -> "list[Chapter]":
    """Chapters that reach into the cut, trimmed to it and moved along."""
    chapters: list[Chapter] = []
    for chapter in original.chapters():
        unit = chapter["time_base"] or Fraction(1)
        if cut.keeps(chapter["start"] * unit, chapter["end"] * unit):
            start_s = max(chapter["start"] * unit, cut.start_s or 0)
            end_s = chapter["end"] * unit if cut.end_s is None else min(chapter["end"] * unit, cut.end_s)
            chapters.append(
                {**chapter, "start": round((start_s - cut.shift_s) / unit), "end": round((end_s - cut.shift_s) / unit)}
            )
    return chapters


def clock_start_of(original: InputContainer) -> Fraction:
    """Seconds to take from all times of a stream that was cut from a longer one; 0 for a film of its own."""
    if original.format.name not in _RUNNING_CLOCKS:
        return Fraction(0)
    return Fraction(original.start_time or 0, av.time_base)


def lasting_tags(tags: dict[str, str]) -> dict[str, str]:
    """Without what the new file says of itself, or what would differ from run to run."""
    return {name: value for name, value in tags.items() if name.lower() not in _OF_THE_FILE}
