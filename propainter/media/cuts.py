"""Where a shot ends and the next begins: hard cuts, found on small pictures. Dissolves and fades are no cuts.

Two frames are compared twice: how much their blocks differ, wherever they may have moved, and how much the colours of
the whole differ. Either is set against the pairs of frames around, so that fast motion, which goes on for some frames,
counts for little; at a cut both stand out. A flash is no cut, because what was before it returns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from propainter.core.errors import MediaError
from propainter.core.frames import FrameRange
from propainter.media.info import VideoSource

THRESHOLD = 6.0
"""Product of the two differences, each as a multiple of what is usual around: see docs/where-the-hole-is.md."""

_USUAL_PAIRS = 6
"""On either side. Usual is the second largest difference among them: one of them may be a cut as well."""

_RETURN_FRAMES = 3
"""What a flash hid is back within so many frames."""

_WIDTH_PX, _HEIGHT_PX = 64, 36
_BLOCK_WIDTH_PX, _BLOCK_HEIGHT_PX = 8, 6
_SEARCH_PX, _SEARCH_STEP_PX = 8, 2
"""An eighth of the width from one frame to the next: what moves faster is not followed."""

_BINS = 8
_NOISE = np.array([2.0, 0.04])
"""Grey levels, and share of the pixels: differences below count as these."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A small picture in grey levels, and which share of its pixels has each colour."""

    grey: Floats
    colours: Floats


class CutFinder:
    """Finds the cuts of range after range. Rising ranges are fastest: no frame is decoded twice."""

    def __init__(self, source: VideoSource) -> None:
        self._source = source
        self._looks: dict[int, _Look | None] = {}

    def find(self, pairs: FrameRange) -> tuple[int, ...]:
        """The second frames of those of these pairs (pair t is frames t and t + 1) between which there is a cut.

        Depends on the video alone, not on the ranges asked for. A frame that cannot be decoded is next to no cut:
        whoever needs the frame says what is wrong with it.
        """
        video = FrameRange(0, self._source.info.frames)
        frames = FrameRange(pairs.start, pairs.stop + 1).grow(_USUAL_PAIRS, video)
        self._looks = {frame: self._looks[frame] if frame in self._looks else self._look(frame) for frame in frames}
        looks = [self._looks[frame] for frame in frames]
        steps = np.array([_difference(*looks[at : at + 2]) for at in range(len(looks) - 1)])
        return tuple(pair + 1 for pair in pairs if _is_cut(looks, steps, pair - frames.start))

    def _look(self, frame: int) -> _Look | None:
        try:
            (picture,) = self._source.native(FrameRange(frame, frame + 1))
        except MediaError:
            return None
        shrunk = picture.reformat(_WIDTH_PX, _HEIGHT_PX, "rgb24", interpolation=Interpolation.AREA)
        small = np.asarray(shrunk.to_ndarray(), np.uint8)
        return _Look(grey=cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32), colours=_colours(small))


def _is_cut(looks: Sequence[_Look | None], steps: NDArray[np.float64], at: int) -> bool:
    """Whether looks[at] and the next one are of two shots. steps: differences of neighbouring looks, (n - 1, 2)."""
    around = np.concatenate([steps[max(at - _USUAL_PAIRS, 0) : at], steps[at + 1 : at + 1 + _USUAL_PAIRS]])
    if len(around) == 0:
        return False
    usual = np.maximum(np.sort(around, axis=0)[-2:][0], _NOISE)
    if np.prod(steps[at] / usual) < THRESHOLD:
        return False
    before, after = looks[max(at - _RETURN_FRAMES + 1, 0) : at + 1], looks[at + 1 : at + 1 + _RETURN_FRAMES]
    nearest = np.min([_difference(one, other) for one in before for other in after], axis=0)
    return bool(np.prod(nearest / usual) >= THRESHOLD)


def _difference(one: _Look | None, other: _Look | None) -> tuple[float, float]:
    """In grey levels, block by block at the best of all shifts; and as a share of the pixels, by colour."""
    if one is None or other is None:
        return 0.0, 0.0
    edged = np.pad(other.grey, _SEARCH_PX, mode="edge")
    shifts = range(0, 2 * _SEARCH_PX + 1, _SEARCH_STEP_PX)
    blocks = _WIDTH_PX // _BLOCK_WIDTH_PX, _HEIGHT_PX // _BLOCK_HEIGHT_PX
    apart = [
        cv2.resize(
            cv2.absdiff(one.grey, edged[y : y + _HEIGHT_PX, x : x + _WIDTH_PX]), blocks, interpolation=cv2.INTER_AREA
        )
        for y in shifts
        for x in shifts
    ]
    return float(np.min(apart, axis=0).mean()), float(np.abs(one.colours - other.colours).sum() / 2)


def _colours(small: NDArray[np.uint8]) -> Floats:
    """Share of the pixels in each of 8x8x8 bins, spread over neighbouring bins: a little more light changes little."""
    bins = cv2.calcHist([small], [0, 1, 2], None, [_BINS] * 3, [0, 256] * 3) / np.float32(small.size / 3)
    for axis in range(3):
        edged = np.pad(bins, [(1, 1) if axis == each else (0, 0) for each in range(3)])
        below, above = (np.roll(edged, shift, axis) for shift in (1, -1))
        bins = (edged / 2 + (below + above) / 4).take(range(1, _BINS + 1), axis)
    return np.asarray(bins, np.float32)
