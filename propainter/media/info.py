"""What is known of a video once it is open, and what every source of frames can do."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, Self

import av
import numpy as np
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.media.colour import Colour


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """A video as it is shown: sides after rotation, frames counted, not taken from a header.

    times: when each frame is shown, in units of time_base, strictly rising. end_time: when the last one goes.
    pixel_format: FFmpeg's name, as decoded. rotation_deg: what read() has already undone, clockwise; 0 where
    nothing was to do.
    """

    path: Path
    frames: int
    height_px: int
    width_px: int
    times: tuple[int, ...]
    end_time: int
    time_base: Fraction
    is_folder: bool
    pixel_format: str
    bit_depth: int
    colour: Colour
    rotation_deg: int
    sample_aspect: Fraction
    codec: str

    @property
    def frame_rate(self) -> Fraction:
        """Mean frames per second."""
        return Fraction(self.frames) / ((self.end_time - self.times[0]) * self.time_base)


class VideoSource(Protocol):
    """Frames by range, exactly, in any order; fastest where a range begins where the last one ended."""

    @property
    def info(self) -> VideoInfo: ...

    @property
    def content_digest(self) -> str:
        """blake2b-160 of the content, whatever its name, place and age. The first call reads it all."""
        ...

    def read(self, frames: FrameRange) -> NDArray[np.uint8]:
        """RGB of (n, height_px, width_px, 3).

        Raises:
            MediaError: a frame cannot be decoded, or is not there.
        """
        ...

    def native(self, frames: FrameRange) -> Iterator[av.VideoFrame]:
        """The same frames one by one, upright, with the samples that the file holds.

        Raises:
            MediaError: as read.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
