"""Cuts in drawn shots: a textured scene under a panning camera, after which another begins."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from propainter.core.errors import MediaError
from propainter.core.frames import FrameRange
from propainter.media.cuts import CutFinder

SHOT = 20
"""Frames."""


def pan(seed: int, frames: int = SHOT, step_px: float = 2.0) -> NDArray[np.uint8]:
    """(T, 90, 160, 3): patches of a few colours, the camera moving by step_px a frame."""
    return view(seed, [step_px * t for t in range(frames)])


def view(seed: int, places_px: list[float]) -> NDArray[np.uint8]:
    """The scene of this seed, seen from place after place."""
    random = np.random.default_rng(seed)
    palette = random.integers(0, 256, (6, 3), dtype=np.uint8)
    patches = palette[random.integers(0, 6, (10, 22 + int(max(places_px) / 9)))]
    scene = cv2.GaussianBlur(cv2.resize(patches, None, fx=9, fy=9, interpolation=cv2.INTER_NEAREST), (0, 0), 2)
    shifts = (np.array([[1, 0, -place_px], [0, 1, 0]], np.float32) for place_px in places_px)
    return np.stack([cv2.warpAffine(scene, shift, (160, 90)) for shift in shifts])


class Drawn:
    """As much of a VideoSource as finding cuts takes; undecodable frames, and a note of which were asked for."""

    def __init__(self, *shots: NDArray[np.uint8], undecodable: frozenset[int] = frozenset()) -> None:
        self.frames = np.concatenate(shots)
        self.info = SimpleNamespace(frames=len(self.frames))
        self.decoded: list[int] = []
        self._undecodable = undecodable

    def native(self, frames: FrameRange) -> Iterator[av.VideoFrame]:
        for number in frames:
            if number in self._undecodable:
                raise MediaError(f"frame {number} cannot be decoded.")
            self.decoded.append(number)
            yield av.VideoFrame.from_ndarray(self.frames[number], "rgb24")


def cuts(source: Drawn) -> tuple[int, ...]:
    return CutFinder(as_source(source)).find(FrameRange(0, len(source.frames) - 1))


def as_source(source: Drawn) -> Any:
    return source


def test_each_shots_first_frame_is_found() -> None:
    assert cuts(Drawn(pan(0), pan(1), pan(2, step_px=6))) == (SHOT, 2 * SHOT)


def test_two_shots_with_one_of_three_frames_between_them() -> None:
    assert cuts(Drawn(pan(0), pan(1, frames=3), pan(2))) == (SHOT, SHOT + 3)


@pytest.mark.parametrize("step_px", [0.0, 6.0, 20.0])
def test_a_moving_camera_makes_no_cut_however_fast(step_px: float) -> None:
    assert cuts(Drawn(pan(0, step_px=step_px))) == ()


def test_a_camera_that_starts_to_move_fast_makes_no_cut() -> None:
    stood, moved = [0.0] * SHOT, [20.0 * t for t in range(SHOT)]
    assert cuts(Drawn(view(0, stood + moved))) == ()


def test_a_drawing_shown_twice_or_three_times_over_makes_no_cut() -> None:
    drawn_on_threes = np.repeat(pan(0, step_px=10.0), 3, axis=0)
    assert cuts(Drawn(drawn_on_threes)) == ()


@pytest.mark.parametrize("frames", [1, 2])
def test_a_flash_is_no_cut(frames: int) -> None:
    lit = pan(0, frames=2 * SHOT)
    lit[SHOT : SHOT + frames] = 255
    assert cuts(Drawn(lit)) == ()


def test_a_dissolve_is_no_cut() -> None:
    one, other = pan(0), pan(1)
    shares = np.linspace(0, 1, SHOT)[:, None, None, None]
    mixed = np.rint((1 - shares) * one + shares * other).astype(np.uint8)
    assert cuts(Drawn(one[:1].repeat(SHOT, axis=0), mixed)) == ()


def test_what_is_found_does_not_depend_on_the_ranges_asked_for() -> None:
    source = Drawn(pan(0), pan(1), pan(2))
    pairs = FrameRange(0, 3 * SHOT - 1)
    finder = CutFinder(as_source(source))
    found = [finder.find(tile.core) for tile in pairs.tiles(7)]
    assert [cut for part in found for cut in part] == [SHOT, 2 * SHOT]
    assert sorted(source.decoded) == list(range(3 * SHOT)), "each frame is decoded once"


def test_only_frames_near_the_range_asked_for_are_decoded() -> None:
    source = Drawn(pan(0), pan(1), pan(2))
    assert CutFinder(as_source(source)).find(FrameRange(SHOT - 3, SHOT + 3)) == (SHOT,)
    assert (min(source.decoded), max(source.decoded)) == (SHOT - 9, SHOT + 9)


def test_a_frame_that_cannot_be_decoded_is_no_cut_and_no_error() -> None:
    assert cuts(Drawn(pan(0), pan(1), undecodable=frozenset({SHOT + 10}))) == (SHOT,)


def test_two_frames_say_nothing_about_what_is_usual() -> None:
    assert cuts(Drawn(pan(0, frames=1), pan(1, frames=1))) == ()
