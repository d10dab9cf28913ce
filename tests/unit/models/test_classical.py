"""The parts of the engine without weights, on flow and pictures that are made up."""

import numpy as np
import pytest
from numpy.typing import NDArray

from propainter.models.classical.completion import around_holes, complete
from propainter.models.classical.membrane import near
from propainter.models.classical.painting import Found, paint, sample
from propainter.ops.consistency import RELATIVE_TOLERANCE, TOLERANCE_PX2
from propainter.ops.propagation import HOLE as STILL_HOLE
from propainter.ops.propagation import KNOWN

HEIGHT_PX, WIDTH_PX = 180, 320
HOLE = np.zeros((HEIGHT_PX, WIDTH_PX), np.bool_)
HOLE[70:110, 120:180] = True


@pytest.mark.parametrize("seed", range(4))
def test_a_still_eighth_of_the_frame_does_not_outweigh_a_fast_motion_known_to_three_percent(seed: int) -> None:
    truth_px = np.array([40.0, -8.0])
    noise = np.random.default_rng(seed)
    flow = np.empty((1, 2, 2, HEIGHT_PX, WIDTH_PX), np.float32)
    for direction, sign in ((0, 1), (1, -1)):
        flow[0, direction] = sign * truth_px[:, None, None] + noise.normal(scale=1.2, size=(2, HEIGHT_PX, WIDTH_PX))
        flow[0, direction][:, :, 280:] = 0
    forward, backward = complete(flow, np.stack([HOLE, HOLE]))[0]
    assert np.abs(forward[:, HOLE].mean(axis=1) - truth_px).max() < 0.5
    error_px2 = np.square(forward + backward)[:, HOLE].sum(axis=0)
    assert (error_px2 < RELATIVE_TOLERANCE * 2 * np.square(truth_px).sum() + TOLERANCE_PX2).all()


def test_a_hole_in_one_of_two_frames_leaves_the_other_direction_alone() -> None:
    flow = np.random.default_rng(0).normal(size=(1, 2, 2, HEIGHT_PX, WIDTH_PX)).astype(np.float32)
    completed = complete(flow, np.stack([np.zeros_like(HOLE), HOLE]))
    assert (completed[0, 0] == flow[0, 0]).all()
    assert (completed[0, 1][:, HOLE] != flow[0, 1][:, HOLE]).any()


def test_the_band_around_a_hole_goes_on_with_the_motion_inside_it() -> None:
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX].astype(np.float32)
    zoom = np.stack([0.03 * (x - 60), 0.03 * (y - 40)])
    leaked = near(HOLE, 15) & ~HOLE
    (found,) = around_holes(np.where(leaked, np.float32(9), zoom), HOLE)
    assert np.abs(found.flow - zoom[:, *found.box]).max() < 0.05


def test_each_of_several_holes_takes_the_motion_around_itself() -> None:
    hole = np.zeros_like(HOLE)
    hole[70:100, 40:70] = hole[70:100, 250:280] = True
    truth = np.empty((1, 2, 2, HEIGHT_PX, WIDTH_PX), np.float32)
    for direction, sign in ((0, 1), (1, -1)):
        truth[0, direction][:, :, :200] = sign * np.array([[[6]], [[0]]])
        truth[0, direction][:, :, 200:] = sign * np.array([[[-9]], [[4]]])
    flow = np.where(hole, np.float32(30), truth)
    assert np.abs(complete(flow, np.stack([hole, hole])) - truth).max() < 0.1


def painted(colours: NDArray[np.uint8], where: NDArray[np.bool_], around: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The code of each pixel of HOLE, for colours (H, W, 3) that the next frame showed where it says."""
    packed = np.concatenate([around, np.where(HOLE, STILL_HOLE, KNOWN).astype(np.uint8)[..., None]], axis=-1)
    pixels = np.flatnonzero(where).astype(np.int32)
    found = Found(colours=colours.reshape(-1, 3)[pixels], frame=np.ones(len(pixels), np.int16))
    paint(packed, HOLE, pixels, [found], [np.zeros(3, np.float32)] * 2, 0)
    code: NDArray[np.uint8] = packed[HOLE, 3]
    return code


EVEN = np.full((HEIGHT_PX, WIDTH_PX, 3), 120, np.uint8)
NOISY = np.random.default_rng(0).integers(70, 170, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)


def test_colours_that_agree_with_the_rim_are_painted() -> None:
    assert (painted(EVEN + np.uint8(5), near(HOLE, 3), EVEN) == KNOWN).all()


def test_in_even_surroundings_a_colour_that_the_rim_contradicts_is_left_to_the_fill() -> None:
    assert (painted(EVEN + np.uint8(30), near(HOLE, 3), EVEN) == STILL_HOLE).all()


def test_in_texture_the_same_contradiction_is_credible() -> None:
    assert (painted(NOISY + np.uint8(30), near(HOLE, 3), NOISY) == KNOWN).all()


def test_colours_that_reach_the_rim_nowhere_are_left_to_the_fill() -> None:
    island = np.zeros_like(HOLE)
    island[85:95, 140:160] = True
    assert (painted(EVEN, island, EVEN) == STILL_HOLE).all()


def test_at_whole_pixels_a_sample_is_the_pixel_however_many_there_are() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    y, x = (a.ravel() for a in np.indices(frame.shape[:2]))
    assert (sample(frame, x.astype(np.float32), y.astype(np.float32)) == frame[y, x]).all()
