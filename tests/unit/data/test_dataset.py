"""Training samples of a clip whose motion is known: the scene goes left by 2 pixels and up by 1 from frame to frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from propainter.core.errors import ShapeError
from propainter.data.dataset import TrainingSamples, WholeClips
from propainter.data.sample import Sample, flip, reverse
from propainter.ops.warp import warp

HEIGHT, WIDTH = 24, 32
MOTION = (-2.0, -1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingClip:
    """Its first pixel's blue says the frame."""

    name: str = "moving"
    frames: int = 20

    def read_frames(self, frames: Sequence[int]) -> NDArray[np.uint8]:
        scene = np.random.default_rng(5).integers(0, 256, (HEIGHT + 60, WIDTH + 120, 3), dtype=np.uint8)
        pictures = np.stack([scene[t : t + HEIGHT, 2 * t : 2 * t + WIDTH] for t in frames])
        pictures[:, 0, 0, 2] = frames
        pictures[:, 0, -1, 2] = frames
        return pictures

    def read_flow(self, pairs: Sequence[int]) -> NDArray[np.float32]:
        both = np.array([MOTION, [-part for part in MOTION]], np.float32)
        return np.tile(both[None, :, :, None, None], (len(pairs), 1, 1, HEIGHT, WIDTH))

    def read_holes(self, frames: Sequence[int]) -> NDArray[np.bool_]:
        holes = np.zeros((len(frames), HEIGHT, WIDTH), np.bool_)
        holes[np.arange(len(frames)), list(frames)] = True
        return holes


def numbers(sample: Sample) -> list[int]:
    """Which frames of the clip it holds."""
    return [int(frame[0, 0, 2]) for frame in sample.frames]


def assert_same(one: Sample, other: Sample) -> None:
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0)


def assert_flow_matches_frames(sample: Sample) -> None:
    """Warping each frame's neighbour by the flow gives the frame, 3 pixels from the border on."""
    local = sample.frames[: len(sample.flow) + 1].permute(0, 3, 1, 2).float()
    for warped, frames in (
        (warp(local[1:], sample.flow[:, 0]), local[:-1]),
        (warp(local[:-1], sample.flow[:, 1]), local[1:]),
    ):
        torch.testing.assert_close(warped[..., 3:-3, 3:-3], frames[..., 3:-3, 3:-3], rtol=0, atol=1e-2)


def sample_of(seed: int, epoch: int = 0) -> Sample:
    samples = TrainingSamples([MovingClip()], seed=seed)
    samples.set_epoch(epoch)
    return samples[0]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_turning_twice_gives_the_sample_back(seed: int) -> None:
    sample = sample_of(seed)
    assert_same(reverse(reverse(sample)), sample)
    assert_same(flip(flip(sample)), sample)
    assert_same(flip(reverse(sample)), reverse(flip(sample)))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_flow_matches_the_frames_however_a_sample_was_turned(seed: int) -> None:
    sample = sample_of(seed)
    for turned in (sample, reverse(sample), flip(sample), flip(reverse(sample))):
        assert_flow_matches_frames(turned)


def test_a_wrong_turn_would_be_noticed() -> None:
    sample = sample_of(0)
    half_flipped = sample._replace(frames=sample.frames.flip(-2))
    half_reversed = reverse(sample)._replace(flow=sample.flow)
    for wrong in (half_flipped, half_reversed):
        with pytest.raises(AssertionError):
            assert_flow_matches_frames(wrong)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_ten_frames_in_a_row_come_first_and_six_others_after_them_in_order(seed: int) -> None:
    sample = sample_of(seed)
    local, references = numbers(sample)[:10], numbers(sample)[10:]
    assert [after - before for before, after in pairwise(local)] in ([1] * 9, [-1] * 9)
    assert len(references) == 6
    assert references == sorted(set(references) - set(local))
    assert sample.frames.shape == (16, HEIGHT, WIDTH, 3)
    assert (sample.frames.dtype, sample.holes.dtype, sample.flow.dtype) == (torch.uint8, torch.bool, torch.float32)
    assert sample.holes.shape == (16, HEIGHT, WIDTH)
    assert sample.flow.shape == (9, 2, 2, HEIGHT, WIDTH)


def test_half_of_the_samples_are_reversed_and_half_are_flipped() -> None:
    samples = [sample_of(0, epoch) for epoch in range(200)]
    reversed_ones = sum(numbers(sample)[0] > numbers(sample)[1] for sample in samples)
    flipped = sum(
        bool(sample.flow[0, 0, 0, 0, 0] * (1 if numbers(sample)[0] < numbers(sample)[1] else -1) > 0)
        for sample in samples
    )
    assert 70 < reversed_ones < 130
    assert 70 < flipped < 130


def test_seed_and_epoch_decide_a_sample() -> None:
    assert_same(sample_of(1, 2), sample_of(1, 2))
    others = [sample_of(1, 3), sample_of(2, 2)]
    assert all(not torch.equal(other.holes, sample_of(1, 2).holes) for other in others)


def test_a_clip_shorter_than_a_sample_is_refused() -> None:
    assert len(TrainingSamples([MovingClip(frames=16)])[0].frames) == 16
    with pytest.raises(ShapeError, match="15 frames"):
        TrainingSamples([MovingClip(frames=15)])


def test_a_whole_clip_has_all_its_frames_its_own_holes_and_all_pairs() -> None:
    whole = WholeClips([MovingClip(frames=7)])
    assert (len(whole), whole.name(0)) == (1, "moving")
    sample = whole[0]
    assert numbers(sample) == list(range(7))
    assert sample.flow.shape == (6, 2, 2, HEIGHT, WIDTH)
    assert [int(hole.any(dim=1).nonzero()) for hole in sample.holes] == list(range(7))
    assert_flow_matches_frames(sample)
