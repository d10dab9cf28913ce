"""The parts of the engine without weights, on flow and pictures that are made up."""

import numpy as np
import pytest

from propainter.models.classical.completion import around_hole, complete
from propainter.models.classical.membrane import near
from propainter.models.classical.trajectories import sample
from propainter.ops.consistency import RELATIVE_TOLERANCE, TOLERANCE_PX2

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
    found = around_hole(np.where(leaked, np.float32(9), zoom), HOLE)
    assert np.abs(found.flow - zoom[:, *found.box]).max() < 0.05


def test_at_whole_pixels_a_sample_is_the_pixel_however_many_there_are() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    t, y, x = (a.ravel() for a in np.indices(frames.shape[:3]))
    assert (sample(frames, t, x.astype(np.float32), y.astype(np.float32)) == frames[t, y, x]).all()
