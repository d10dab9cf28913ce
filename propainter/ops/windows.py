"""Which frames refinement looks at together, and how frames that several windows saw become one.

Source: the released inference, whose choice of frames the result depends on.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from propainter.core.frames import FrameRange


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Local frames are refined; reference frames, in rising order, are only looked at."""

    local: FrameRange
    references: tuple[int, ...]

    def counted_from(self, start: int) -> "Window":
        """The same frames in an array whose first frame is `start`; under 0 where they stand further on in it."""
        return Window(
            local=FrameRange(self.local.start - start, self.local.stop - start),
            references=tuple(frame - start for frame in self.references),
        )


def refinement_windows(
    frames: int, *, neighbor_length: int = 10, ref_stride: int = 10, subvideo_length: int = 80
) -> tuple[Window, ...]:
    """The windows of a whole video, in the order in which they are averaged.

    Args:
        frames: of the video.
        neighbor_length: a window reaches half of it to both sides of its middle; middles are as far apart. At least 2.
        ref_stride: step between reference frames.
        subvideo_length: from longer videos, references are taken from about this many frames around the window.
    """
    step = neighbor_length // 2
    whole = FrameRange(0, frames)
    windows = []
    for middle in whole.tiles(step):
        local = FrameRange(middle.core.start, middle.core.start + 1).grow(step, whole)
        candidates = range(0, frames, ref_stride)
        if frames > subvideo_length:
            reach = ref_stride * (subvideo_length // ref_stride // 2)
            candidates = range(max(0, middle.core.start - reach), min(frames, middle.core.start + reach), ref_stride)
        references = tuple(frame for frame in candidates if not local.start <= frame < local.stop)
        windows.append(Window(local=local, references=references))
    return tuple(windows)


def windows_seeing(windows: Iterable[Window], frames: FrameRange) -> tuple[Window, ...]:
    """Those with a local frame in `frames`: all that these frames' results depend on."""
    return tuple(window for window in windows if len(window.local.clip(frames)))


def frames_looked_at(windows: Iterable[Window]) -> FrameRange:
    """The smallest range that holds every local and reference frame. There must be a window."""
    seen = [(*window.local, *window.references) for window in windows]
    return FrameRange(min(map(min, seen)), max(map(max, seen)) + 1)


def average_windows(
    frames: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    span: FrameRange,
    predictions: Iterable[tuple[FrameRange, NDArray[np.uint8]]],
) -> NDArray[np.uint8]:
    """Put predictions into the holes, averaging as it goes: first value, then half old and half new, rounded down.

    Args:
        frames: the source, (T, H, W, 3).
        hole: True where the prediction is taken, (T, H, W).
        span: which frames these are.
        predictions: in window order, the local frames (may reach out of span) and what was predicted for them.

    Returns:
        (T, H, W, 3); outside the holes, and where nothing was predicted, the source.
    """
    result = frames.copy()
    seen = np.zeros(len(frames), np.bool_)
    for local, prediction in predictions:
        for frame in local.clip(span):
            index = frame - span.start
            inside = hole[index]
            new = prediction[frame - local.start][inside]
            if seen[index]:
                new = ((result[index][inside].astype(np.uint16) + new) // 2).astype(np.uint8)
            result[index][inside] = new
            seen[index] = True
    return result
