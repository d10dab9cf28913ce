"""What the first two stages ask of a clip, which is less than `Inputs` tells: flow alone needs no mask."""

from dataclasses import dataclass
from typing import Protocol

from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry


class Footage(Protocol):
    """Frames to work on, counted from the first one asked for: `Inputs`, or a `WholeClip`."""

    @property
    def content_digest(self) -> str: ...

    @property
    def geometry(self) -> Geometry: ...

    @property
    def clip(self) -> FrameRange: ...

    @property
    def pairs(self) -> FrameRange: ...

    def in_source(self, frames: FrameRange) -> FrameRange: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeClip:
    """All frames of a clip, without a mask."""

    content_digest: str
    geometry: Geometry
    clip: FrameRange

    @property
    def pairs(self) -> FrameRange:
        return FrameRange(0, self.clip.stop - 1)

    def in_source(self, frames: FrameRange) -> FrameRange:
        return frames
