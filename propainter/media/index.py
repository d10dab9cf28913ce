"""Which frames a video file has, found by walking its packets. Headers are not believed.

Two ways: packets give the time of each frame, which costs one reading of the file; where they do not, every frame
is decoded once and counted.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise

import av

from propainter.media.decoder import Decoder, packets_of

_CUT_OFF_S = Fraction(1, 2)
"""A Matroska file that ends this much before the length it declares has lost its end."""

_PACKETS_WITHOUT_PICTURE = frozenset({"vp8", "vp6", "vp6f", "vp6a", "mpeg4"})
"""Codecs in which a packet may show nothing, so that counting packets is not counting frames."""

_OPENING_FRAMES = 8
"""Enough to see B-frames come out with times that fall: AVI numbers packets in decoding order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameIndex:
    """Frames in the order they are shown.

    times: presentation times in units of time_base, strictly rising. end_time: when the last frame goes.
    keyframes: times of those that a decoder can start at. damaged: times of frames that are in the file only in part.
    seekable: False where frames can only be counted from the start.
    """

    times: tuple[int, ...]
    end_time: int
    time_base: Fraction
    keyframes: tuple[int, ...] = ()
    damaged: frozenset[int] = frozenset()
    seekable: bool

    def start_points(self, time: int) -> list[int | None]:
        """Where to begin decoding to reach time: the keyframe before it, the one before that, the file's start (None).

        The nearest does not always do: a frame shown after it may refer to frames before it.
        """
        if not self.seekable:
            return [None]
        place = bisect_right(self.keyframes, time)
        return [*reversed(self.keyframes[max(place - 2, 0) : place]), None]


@dataclass(slots=True, kw_only=True)
class _Walk:
    """What the packets say: times of whole ones, of keyframes, of a last one that is there in part."""

    codec: str
    time_base: Fraction
    frame_rate: Fraction
    times: list[int] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)
    partial: int | None = None
    end_time: int = 0
    is_timed: bool = True
    is_cut_off: bool = False


def index_of(decoder: Decoder) -> FrameIndex:
    """Count the frames of a decoder that stands at the start of its file; it is used up.

    Frames before the first that decodes never will, and are left out. The index is empty where none decodes.
    """
    opening = [frame.pts for frame in islice(decoder, _OPENING_FRAMES)]
    decoder.restart(None)
    walk = _walk(decoder)
    first_time = opening[0] if opening else None
    every_packet_shows = walk.codec not in _PACKETS_WITHOUT_PICTURE
    if first_time is not None and _rises(opening) and walk.is_timed and every_packet_shows:
        return _timed(sorted(time for time in walk.times if time >= first_time), walk)
    decoder.restart(None)
    times = [frame.pts for frame in decoder]
    known = [time for time in times if time is not None]
    if len(known) < len(times) or not _rises(known):
        count = len(times)
        return FrameIndex(times=tuple(range(count)), end_time=count, time_base=1 / walk.frame_rate, seekable=False)
    return _timed(known, walk)


def _walk(decoder: Decoder) -> _Walk:
    stream = decoder.stream
    walk = _Walk(
        codec=stream.codec_context.name,
        time_base=stream.time_base or Fraction(1),
        frame_rate=stream.average_rate or stream.guessed_rate or Fraction(25),
    )
    end_s = Fraction(0)
    for packet in packets_of(decoder.container.demux()):
        if packet.pts is not None and packet.time_base:
            end_s = max(end_s, (packet.pts + (packet.duration or 0)) * packet.time_base)
        if packet.stream_index != stream.index or packet.is_discard:
            continue
        if packet.pts is None:
            walk.is_timed = False
            continue
        walk.partial = packet.pts if packet.is_corrupt else None
        if packet.is_corrupt:
            continue
        walk.times.append(packet.pts)
        walk.end_time = max(walk.end_time, packet.pts + (packet.duration or 0))
        if packet.is_keyframe:
            walk.keyframes.append(packet.pts)
    walk.is_timed = walk.is_timed and _rises(sorted(walk.times))
    # Matroska drops half a frame without a word, where other formats mark it as corrupt.
    declared_s = Fraction(decoder.container.duration or 0, av.time_base)
    walk.is_cut_off = "matroska" in decoder.container.format.name and declared_s > end_s + _CUT_OFF_S
    return walk


def _timed(times: Sequence[int], walk: _Walk) -> FrameIndex:
    if not times:
        return FrameIndex(times=(), end_time=0, time_base=walk.time_base, seekable=False)
    gap = times[-1] - times[-2] if len(times) > 1 else max(1, round(1 / (walk.frame_rate * walk.time_base)))
    partial = times[-1] + gap if walk.partial is None and walk.is_cut_off else walk.partial
    damaged = frozenset(() if partial is None else (partial,))
    shown = sorted({*times, *damaged})
    return FrameIndex(
        times=tuple(shown),
        end_time=walk.end_time if walk.end_time > shown[-1] else shown[-1] + gap,
        time_base=walk.time_base,
        keyframes=tuple(sorted(walk.keyframes)),
        damaged=damaged,
        seekable=walk.is_timed,
    )


def _rises(times: Sequence[int | None]) -> bool:
    return all(a is not None and b is not None and a < b for a, b in pairwise(times))
