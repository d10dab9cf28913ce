import numpy as np
import pytest
from encoded_clips import scene
from PIL import Image

from propainter.media.resize import resize_frames, resize_holes


def test_frames_are_resized_as_pillow_does_it() -> None:
    frames = scene(2, 50, 70)
    resized = resize_frames(frames, 24, 32)
    expected = [np.asarray(Image.fromarray(frame).resize((32, 24), Image.Resampling.BICUBIC)) for frame in frames]
    assert np.array_equal(resized, np.stack(expected))


def test_frames_of_the_right_size_are_handed_back() -> None:
    frames = scene(2)
    assert resize_frames(frames, 48, 64) is frames


@pytest.mark.parametrize("size", [(7, 9), (24, 32), (48, 100), (97, 131), (240, 432)])
def test_holes_are_resized_by_the_rule_that_pillow_has(size: tuple[int, int]) -> None:
    holes = np.random.default_rng(0).random((2, 53, 77)) > 0.5
    expected = [np.asarray(Image.fromarray(hole).resize(size[::-1], Image.Resampling.NEAREST)) for hole in holes]
    assert np.array_equal(resize_holes(holes, *size), np.stack(expected))
