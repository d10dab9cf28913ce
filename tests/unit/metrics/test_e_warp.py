import numpy as np
import pytest

from propainter.metrics.e_warp import e_warp

HEIGHT, WIDTH, SHIFT_PX = 24, 32, 3


def moving_right(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A texture that moves three pixels a frame, and its flow."""
    texture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH + SHIFT_PX * frames, 3), dtype=np.uint8)
    clip = np.stack([texture[:, SHIFT_PX * (frames - t) :][:, :WIDTH] for t in range(frames)])
    flow = np.zeros((frames - 1, 2, 2, HEIGHT, WIDTH), np.float32)
    flow[:, 0, 0], flow[:, 1, 0] = SHIFT_PX, -SHIFT_PX
    return clip, flow


def test_what_moves_as_the_flow_says_does_not_flicker() -> None:
    np.testing.assert_allclose(e_warp(*moving_right(3)), 0, atol=1e-10)


def test_a_frame_that_is_brighter_shows_in_both_its_pairs() -> None:
    clip = np.full((4, HEIGHT, WIDTH, 3), 100, np.uint8)
    clip[1] = 151  # by a fifth of 255
    flow = np.zeros((3, 2, 2, HEIGHT, WIDTH), np.float32)
    np.testing.assert_allclose(e_warp(clip, flow), [0.04, 0.04, 0], atol=1e-7)


def test_what_one_colour_changes_counts_a_third() -> None:
    clip = np.full((2, HEIGHT, WIDTH, 3), 100, np.uint8)
    clip[1, ..., 0] = 151
    assert e_warp(clip, np.zeros((1, 2, 2, HEIGHT, WIDTH), np.float32))[0] == pytest.approx(0.04 / 3)


def test_occluded_pixels_and_those_that_leave_the_frame_do_not_count() -> None:
    clip, flow = moving_right(2)
    clip[0, :, -SHIFT_PX:] = 0  # goes out of the frame
    clip[0, 8:12, 8:12] = 0  # goes behind something: the backward flow leads elsewhere
    flow[0, 1, 1, 8:12, 8 + SHIFT_PX : 12 + SHIFT_PX] = 10
    assert e_warp(clip, flow)[0] == pytest.approx(0, abs=1e-10)


def test_a_pair_of_which_nothing_counts_has_no_figure() -> None:
    clip, flow = moving_right(2)
    assert np.isnan(e_warp(clip, flow + WIDTH)).all()
