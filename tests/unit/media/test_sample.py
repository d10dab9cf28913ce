import itertools
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from propainter.core.errors import OutputError, ShapeError
from propainter.media.sample import SampleClip, draw_sample, write_sample


@pytest.fixture(scope="module")
def sample() -> SampleClip:
    return draw_sample(frames=24, height_px=120, width_px=216)


def test_the_same_seed_draws_the_same_clip_and_another_seed_another_one() -> None:
    first, again, other = (draw_sample(2, 64, 96, seed).frames for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_outside_its_holes_the_clip_is_its_clean_twin(sample: SampleClip) -> None:
    assert sample.frames.shape == sample.clean.shape == (24, 120, 216, 3)
    assert np.array_equal(sample.frames[~sample.holes], sample.clean[~sample.holes])


def test_the_car_drives_in_and_leaves_most_of_the_frame_free(sample: SampleClip) -> None:
    share = sample.holes.mean(axis=(1, 2))
    assert share[0] == 0  # what it hides at the edge is to be seen before
    assert 0.03 < share[-1] == share.max() < 0.25


def test_the_car_moves_on_so_that_what_it_hides_is_seen_at_another_time(sample: SampleClip) -> None:
    noses_px = [int(np.flatnonzero(hole.any(axis=0))[-1]) for hole in sample.holes[[8, 16, 23]]]
    assert noses_px[1] > noses_px[0] + 10
    assert noses_px[2] > noses_px[1] + 10


def test_the_camera_moves_by_a_fraction_of_a_pixel_and_never_jumps() -> None:
    # The sky and the hills: the car is never there, so all motion is the camera's.
    upper = draw_sample(frames=12).clean[:, :130].astype(np.float32).mean(axis=3)
    shifts_px = [cv2.phaseCorrelate(now, then)[0][0] for now, then in itertools.pairwise(upper)]
    assert all(-2.5 < shift_px < -0.2 for shift_px in shifts_px)
    assert max(shifts_px) - min(shifts_px) < 0.6


def test_the_scene_has_texture_everywhere_below_the_sky(sample: SampleClip) -> None:
    # A flat picture would make every inpainting look right.
    ground = sample.clean[0, 66:].astype(np.float32)
    blocks = ground[:48, :208].reshape(6, 8, 26, 8, 3)
    assert blocks.std(axis=(1, 3)).min() > 1.0


def test_the_written_clip_has_every_frame_sound_and_colour_tags(sample: SampleClip, tmp_path: Path) -> None:
    video, masks = write_sample(tmp_path / "new" / "demo", sample)
    with av.open(video) as container:
        stream, sound = container.streams.video[0], container.streams.audio[0]
        context = stream.codec_context
        assert (context.name, stream.average_rate) == ("h264", 24)
        # 1 and 1, 1, 1: limited range; BT.709 matrix, primaries and transfer.
        assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1, 1)
        assert (sound.codec_context.name, sound.codec_context.layout.nb_channels) == ("aac", 2)
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
    with av.open(video) as container:
        heard = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert frames.shape == sample.frames.shape
    # Chroma is halved and compressed; a wrong matrix or a frame in the wrong place is off by far more.
    assert np.abs(frames.astype(int) - sample.frames).mean() < 4
    assert 0.01 < np.abs(heard).max() < 0.8
    assert not np.array_equal(heard[0], heard[1])
    assert len(list(masks.iterdir())) == 24


def test_masks_are_written_one_per_frame_without_loss(sample: SampleClip, tmp_path: Path) -> None:
    masks = write_sample(tmp_path, sample)[1]
    read = cv2.imread(str(masks / "00023.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read, sample.holes[23] * np.uint8(255))


def test_writing_twice_gives_the_same_file_so_that_the_cache_knows_it_again(sample: SampleClip, tmp_path: Path) -> None:
    first, second = (write_sample(tmp_path / name, sample)[0].read_bytes() for name in ("one", "two"))
    assert first == second


@pytest.mark.parametrize(("frames", "height_px", "width_px"), [(0, 240, 432), (8, 63, 432), (8, 240, 101), (8, 32, 96)])
def test_a_clip_that_cannot_be_drawn_is_refused(frames: int, height_px: int, width_px: int) -> None:
    with pytest.raises(ShapeError, match=f"{width_px}x{height_px}"):
        draw_sample(frames, height_px, width_px)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match="taken"):
        write_sample(tmp_path / "taken", draw_sample(1, 64, 64))
