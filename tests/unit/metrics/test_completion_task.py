import numpy as np
import pytest
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.metrics.completion_task import draw_holes


def box_of(hole: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, width, height."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    return int(columns[0]), int(rows[0]), len(columns), len(rows)


def test_at_432x240_the_box_is_80x60_and_drifts_by_one_and_a_half_pixels() -> None:
    holes = draw_holes("moving", FrameRange(0, 80), 240, 432)
    assert [box_of(holes[t]) for t in (0, 1, 2, 79)] == [
        (129, 80, 80, 60), (131, 80, 80, 60), (132, 80, 80, 60), (248, 80, 80, 60),
    ]  # fmt: skip


def test_a_part_of_a_clip_gets_that_part_of_the_holes() -> None:
    whole = draw_holes("moving", FrameRange(0, 30), 96, 160, seed=3)
    np.testing.assert_array_equal(draw_holes("moving", FrameRange(10, 20), 96, 160, seed=3), whole[10:20])


def test_a_still_hole_is_the_same_in_every_frame() -> None:
    holes = draw_holes("still", FrameRange(0, 3), 240, 432)
    assert [box_of(hole) for hole in holes] == [(129, 80, 80, 60)] * 3


def test_the_box_keeps_its_share_of_a_smaller_frame() -> None:
    assert box_of(draw_holes("still", FrameRange(0, 1), 120, 216)[0]) == (64, 40, 40, 30)


def test_a_hole_that_meets_the_edge_turns_back() -> None:
    lefts = [box_of(hole)[0] for hole in draw_holes("moving", FrameRange(0, 400), 240, 432)]
    assert max(lefts) == lefts[148] == 432 - 80 - 1
    assert lefts[152] == 346


@pytest.mark.parametrize("seed", range(20))
def test_a_seeded_hole_keeps_its_size_and_is_the_same_each_time(seed: int) -> None:
    holes = draw_holes("moving", FrameRange(0, 200), 96, 160, seed=seed)
    areas = holes.sum(axis=(1, 2))
    assert areas.min() == areas.max() > 60
    np.testing.assert_array_equal(holes, draw_holes("moving", FrameRange(0, 200), 96, 160, seed=seed))
    assert (holes[0] != holes[10]).any()


def test_seeds_draw_boxes_and_ellipses() -> None:
    fills = []
    for seed in range(20):
        hole = draw_holes("still", FrameRange(0, 1), 240, 432, seed=seed)[0]
        _, _, width, height = box_of(hole)
        fills.append(hole.sum() / (width * height))
    ellipses = [fill for fill in fills if fill < 0.9]
    assert 4 < len(ellipses) < 16
    np.testing.assert_allclose(ellipses, np.pi / 4, atol=0.03)
