"""Frames of a video file by range, exactly: decoded from a keyframe on and told apart by their times."""

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

from propainter.core.errors import MediaError
from propainter.core.frames import FrameRange
from propainter.media.colour import colour_of, convert, to_rgb
from propainter.media.decoder import Decoder
from propainter.media.index import index_of
from propainter.media.info import VideoInfo
from propainter.media.orientation import orientation_of, turn_frame, upright_format
from propainter.media.planes import bit_depth_of

_DIGEST_BLOCK_BYTES = 1 << 20


class VideoFile:
    """A VideoSource over anything that FFmpeg decodes. Holds one decoder and, at most, the frames asked for."""

    def __init__(self, path: Path) -> None:
        """Open and count.

        Raises:
            MediaError: not there, not a video, or without a frame that decodes.
        """
        self._path = path
        self._digest: str | None = None
        self._decoder = Decoder(path)
        self._index = index_of(self._decoder)
        self._decoder.restart(None)
        first = self._decoder.next_frame()
        if first is None or not self._index.times:
            self.close()
            raise MediaError(f"{path} has no video frame that can be decoded. Repair it, or give another file.")
        self._position: int | None = 1
        self._orientation = orientation_of(first)
        self._stored_size_px = (first.height, first.width)
        self._stored_format = first.format.name
        self.info = self._describe(first)

    def _describe(self, first: av.VideoFrame) -> VideoInfo:
        stream = self._decoder.stream
        height_px, width_px = first.height, first.width
        aspect = stream.sample_aspect_ratio or Fraction(1)
        if self._orientation.transposed:
            height_px, width_px, aspect = width_px, height_px, 1 / aspect
        return VideoInfo(
            path=self._path,
            frames=len(self._index.times),
            height_px=height_px,
            width_px=width_px,
            times=self._index.times,
            end_time=self._index.end_time,
            time_base=self._index.time_base,
            is_folder=False,
            pixel_format=upright_format(first.format.name, first.height, first.width, self._orientation),
            bit_depth=bit_depth_of(first.format.name),
            colour=colour_of(first),
            rotation_deg=self._orientation.rotation_deg,
            sample_aspect=aspect,
            codec=stream.codec_context.name,
        )

    @property
    def content_digest(self) -> str:
        if self._digest is None:
            state = hashlib.blake2b(digest_size=20)
            with self._path.open("rb") as file:
                while block := file.read(_DIGEST_BLOCK_BYTES):
                    state.update(block)
            self._digest = state.hexdigest()
        return self._digest

    def read(self, frames: FrameRange) -> NDArray[np.uint8]:
        pictures = np.empty((len(frames), self.info.height_px, self.info.width_px, 3), np.uint8)
        for picture, frame in zip(pictures, self.native(frames), strict=True):
            picture[...] = to_rgb(frame, self.info.colour)
        return pictures

    def native(self, frames: FrameRange) -> Iterator[av.VideoFrame]:
        for frame in self._stored(frames):
            yield turn_frame(frame, self._orientation, self.info.colour)

    def close(self) -> None:
        self._decoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stored(self, frames: FrameRange) -> Iterator[av.VideoFrame]:
        """The frames as they lie in the file, before turning."""
        if frames.stop > len(self._index.times):
            raise MediaError(f"frames {frames} of {self._path} are not there: it has {len(self._index.times)} frames.")
        for number in frames:
            frame = self._reach(number)
            if (frame.height, frame.width) != self._stored_size_px:
                raise MediaError(
                    f"frame {number} of {self._path} is {frame.width}x{frame.height}, unlike those before it. "
                    f"Use --end {number} for the part before it."
                )
            yield convert(frame, self._stored_format, self.info.colour)

    def _reach(self, number: int) -> av.VideoFrame:
        """Decode frame `number`, going on from where the decoder stands if that is the shortest way."""
        wanted = self._index.times[number]
        starts = self._index.start_points(wanted) if wanted not in self._index.damaged else []
        for start in starts:
            if self._stands_between(start, number):
                frame = self._advance(number)
                if frame is not None:
                    return frame
            self._decoder.restart(start)
            self._position = 0 if start is None else None
            frame = self._advance(number, even_corrupt=start is None)
            if frame is not None:
                return frame
        self._position = None
        raise MediaError(
            f"frame {number} of {self._path} cannot be decoded: the file is damaged or cut off there. "
            f"Use --end {number} for the part before it, or repair the file."
        )

    def _stands_between(self, start: int | None, number: int) -> bool:
        """True where the decoder is past start and not yet past the frame."""
        if self._position is None or self._position > number:
            return False
        return start is None or self._index.times[self._position] >= start

    def _advance(self, number: int, *, even_corrupt: bool = False) -> av.VideoFrame | None:
        """Decode up to frame `number`; None where it does not come out, or not whole."""
        wanted = self._index.times[number]
        position, self._position = self._position or 0, None
        for frame in self._decoder:
            arrived = frame.pts if self._index.seekable else self._index.times[position]
            position += 1
            if arrived == wanted and (even_corrupt or not frame.is_corrupt):
                self._position = number + 1 if number + 1 < len(self._index.times) else None
                return frame
            if arrived is None or arrived >= wanted:
                return None
        return None
