"""Image propagation in small, and its storage."""

import numpy as np
import torch

from propainter.ops.propagation import (
    HOLE,
    KNOWN,
    KNOWN_GREY,
    normalise_frames,
    pack_propagated,
    propagate_image,
    unpack_propagated,
)


def test_every_grey_level_comes_back_exactly() -> None:
    frames = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    values = normalise_frames(frames)
    packed = pack_propagated(values, torch.zeros(1, 1, 16, 16, dtype=torch.bool))
    assert (packed[..., :3] == frames).all()
    assert (packed[..., 3] == KNOWN).all()
    assert torch.equal(unpack_propagated(packed)[0], values)


def test_grey_and_hole_are_told_apart_and_both_read_as_zero() -> None:
    hole = torch.tensor([True, False, False]).view(1, 1, 1, 3)
    packed = pack_propagated(torch.tensor([0.0, 0.0, 1.0]).expand(1, 3, 1, 3), hole)
    assert packed[0, 0, :, 3].tolist() == [HOLE, KNOWN_GREY, KNOWN]
    frames, left = unpack_propagated(packed)
    assert frames[0, 0, 0].tolist() == [0, 0, 1]
    assert left[0, 0].tolist() == [True, False, False]


def test_a_hole_is_filled_from_the_nearest_later_frame_and_grey_comes_from_outside() -> None:
    frames = np.zeros((3, 4, 4, 3), np.uint8) + np.array([60, 150, 220], np.uint8).reshape(3, 1, 1, 1)
    hole = np.zeros((3, 4, 4), np.bool_)
    hole[0, 1, 1] = hole[1, 1, 1] = hole[0, 0, 3] = True
    flow = np.zeros((2, 2, 2, 4, 4), np.float32)
    # Over half a pixel to the right of the last column lies nothing, which counts as known.
    flow[0, 0, 0, 0, 3] = 0.6
    out = propagate_image(frames, hole, flow)
    assert out[0, 1, 1].tolist() == out[1, 1, 1].tolist() == [220, 220, 220, KNOWN]
    assert out[0, 0, 3, 3] == KNOWN_GREY
    assert not (out[..., 3] == HOLE).any()


def test_one_frame_stays_as_it_is() -> None:
    hole = np.array([[[True, False], [False, False]]])
    out = propagate_image(np.full((1, 2, 2, 3), 9, np.uint8), hole, np.zeros((0, 2, 2, 2, 2), np.float32))
    assert out[0, ..., 3].tolist() == [[HOLE, KNOWN], [KNOWN, KNOWN]]
    assert out[0, 1].tolist() == [[9, 9, 9, KNOWN]] * 2
