"""Frames of the refinement windows, case by case, and the average of what they predict."""

import numpy as np
import pytest

from propainter.core.frames import FrameRange
from propainter.ops.windows import (
    Window,
    average_windows,
    frames_looked_at,
    refinement_windows,
    windows_seeing,
)


def window_at(middle: int, frames: int, **settings: int) -> Window:
    step = settings.get("neighbor_length", 10) // 2
    return refinement_windows(frames, **settings)[middle // step]


@pytest.mark.parametrize(
    ("middle", "local", "references"),
    [(0, (0, 6), (10, 20)), (5, (0, 11), (20,)), (10, (5, 16), (0, 20)), (15, (10, 21), (0,)), (20, (15, 24), (0, 10))],
)
def test_a_short_video_takes_references_from_all_of_it(
    middle: int, local: tuple[int, int], references: tuple[int, ...]
) -> None:
    assert window_at(middle, 24) == Window(local=FrameRange(*local), references=references)


@pytest.mark.parametrize(
    ("middle", "references"),
    [
        (0, (10, 20, 30)),
        (45, (5, 15, 25, 35, 55, 65, 75)),
        (50, (10, 20, 30, 40, 60, 70, 80)),
        (95, (55, 65, 75, 85)),
    ],
)
def test_a_long_video_counts_references_from_their_own_start(middle: int, references: tuple[int, ...]) -> None:
    assert window_at(middle, 100).references == references


def test_a_video_of_exactly_subvideo_length_is_short() -> None:
    assert window_at(45, 80).references == (0, 10, 20, 30, 60, 70)
    assert window_at(45, 81).references == (5, 15, 25, 35, 55, 65, 75)


def test_there_may_be_no_references() -> None:
    assert window_at(15, 60, subvideo_length=10).references == ()
    assert window_at(3, 26, neighbor_length=6, ref_stride=4, subvideo_length=10).references == ()


def test_an_odd_neighbor_length_steps_by_its_smaller_half() -> None:
    assert [window.local for window in refinement_windows(7, neighbor_length=5)] == [
        FrameRange(0, 3),
        FrameRange(0, 5),
        FrameRange(2, 7),
        FrameRange(4, 7),
    ]


def test_a_segment_depends_on_the_windows_that_see_it_and_on_their_frames() -> None:
    windows = windows_seeing(refinement_windows(200), FrameRange(100, 110))
    assert [window.local.start for window in windows] == [90, 95, 100, 105]
    assert frames_looked_at(windows) == FrameRange(55, 141)
    assert windows[0].counted_from(55) == Window(
        local=FrameRange(35, 46), references=tuple(frame - 55 for frame in windows[0].references)
    )


def test_averages_halve_and_round_down_in_window_order() -> None:
    source = np.full((2, 1, 2, 3), 200, np.uint8)
    hole = np.array([[[True, False]], [[True, False]]])

    def predict(start: int, *values: int) -> tuple[FrameRange, np.ndarray]:
        frames = [np.full((1, 2, 3), value, np.uint8) for value in values]
        return FrameRange(start, start + len(values)), np.stack(frames)

    result = average_windows(source, hole, FrameRange(5, 7), [predict(4, 99, 10), predict(5, 13, 255), predict(5, 20)])
    assert result[:, 0, 0].tolist() == [[15, 15, 15], [255, 255, 255]]  # (10 + 13) // 2 = 11, (11 + 20) // 2 = 15
    assert (result[:, 0, 1] == 200).all()


def test_a_hole_that_no_window_predicted_stays_as_it_is() -> None:
    source = np.full((1, 1, 1, 3), 7, np.uint8)
    assert (average_windows(source, np.ones((1, 1, 1), bool), FrameRange(0, 1), []) == 7).all()
