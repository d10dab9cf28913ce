"""One running decoder of a file's main video stream: start it somewhere, take frames until it ends."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from propainter.core.errors import MediaError


def open_container(path: Path) -> InputContainer:
    """Open a media file for reading.

    Raises:
        MediaError: not there, not readable, or not a media file.
    """
    try:
        return av.open(str(path), "r", metadata_errors="replace")
    except FileNotFoundError:
        raise MediaError(f"{path} does not exist. Give a video file or a folder of images.") from None
    except PermissionError:
        raise MediaError(f"{path} may not be read. Change its permissions.") from None
    except (av.FFmpegError, ValueError):
        raise MediaError(f"{path} is not a video that can be read, or its end is missing. Give another file.") from None


def main_video(container: InputContainer, path: Path) -> VideoStream:
    """The first video stream that is not a cover picture.

    Raises:
        MediaError: there is none, or no decoder for it.
    """
    for stream in container.streams.video:
        if Disposition.attached_pic in stream.disposition:
            continue
        if stream.codec_context is None:
            raise MediaError(f"{path} is in a video format that this FFmpeg cannot decode. Convert it first.")
        return stream
    raise MediaError(f"{path} has no video stream. Give a file with pictures.")


def packets_of(demuxed: "Iterable[Packet[Any]]") -> "Iterator[Packet[Any]]":
    """Packets up to the end of the file, or to where it can no longer be parsed."""
    packets = iter(demuxed)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        if packet.size:
            yield packet


class Decoder:
    """Frames in the order they are shown, as stored. What cannot be decoded is passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._has_failed = False
        self.restart(None)

    def restart(self, time: int | None) -> None:
        """Begin anew at the keyframe before time (in the stream's units), or at the file's start."""
        if time is None:
            self.close()
            self.container = open_container(self._path)
            try:
                self.stream = main_video(self.container, self._path)
            except MediaError:
                self.close()
                raise
            # Decoding several frames at once loses whole ones along with a broken one.
            self.stream.thread_type = "SLICE" if self._has_failed else "AUTO"
        else:
            self.container.seek(time, stream=self.stream)
        self._frames = self._decode()

    def next_frame(self) -> av.VideoFrame | None:
        """The next frame, or None at the end."""
        return next(self._frames, None)

    def __iter__(self) -> Iterator[av.VideoFrame]:
        return self._frames

    def close(self) -> None:
        if hasattr(self, "container"):
            self.container.close()

    def _decode(self) -> Iterator[av.VideoFrame]:
        packets = packets_of(self.container.demux(self.stream))
        for packet in packets:
            yield from self._frames_of(packet)
        while drained := self._frames_of(None):
            yield from drained

    def _frames_of(self, packet: "Packet[Any] | None") -> list[av.VideoFrame]:
        try:
            return self.stream.decode(packet)
        except EOFError:
            return []
        except av.FFmpegError:
            self._has_failed = True
            return [] if packet is not None else self._frames_of(None)
