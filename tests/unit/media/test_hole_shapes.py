"""Made-up holes: how they move, and that every frame has one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from propainter.media.hole_shapes import random_holes

FRAMES = 12


def draw(seed: int) -> NDArray[np.bool_]:
    return np.stack(list(random_holes(np.random.default_rng(seed), FRAMES, 96, 128)))


def steps_px(holes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far the hole's centre of mass goes from frame to frame."""
    centres = np.array([np.argwhere(hole).mean(axis=0) for hole in holes])
    return np.asarray(np.linalg.norm(np.diff(centres, axis=0), axis=1))


@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_frame_has_a_hole_that_leaves_most_of_it(seed: int) -> None:
    covered = draw(seed).mean(axis=(1, 2))
    assert covered.min() > 0.003
    assert covered.max() < 0.45


@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_hole_drifts_by_no_more_than_three_pixels_a_frame_and_keeps_its_size(seed: int) -> None:
    holes = draw(seed)
    # Pixels are whole: the centre of mass of either frame may lie half a pixel beside the shape's.
    assert steps_px(holes).max() <= 3 + 2 * 0.5
    areas = holes.sum(axis=(1, 2))
    assert areas.max() - areas.min() <= 0.15 * areas.max()


def test_half_of_the_holes_stand_still_and_the_others_move() -> None:
    moved = [steps_px(draw(seed)).sum() for seed in range(200)]
    assert 70 < sum(way == 0 for way in moved) < 130
    assert sum(way > 2 for way in moved) > 60


def test_a_generator_in_the_same_state_draws_the_same_holes() -> None:
    np.testing.assert_array_equal(draw(7), draw(7))
    assert (draw(7) != draw(8)).any()
