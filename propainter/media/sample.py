"""The demo's own clip: drawn, not fetched. A car drives past a painted landscape while the camera pans, with sound.

Owns the camera, the car's way, the sound and the files; what is seen is sample_landscape.py's and sample_car.py's.
One still landscape is painted at twice the size, and every frame looks at it through a window that moves by fractions
of a pixel: a camera that turns on a tripod, which has no parallax.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from propainter.core.errors import OutputError, ShapeError
from propainter.media.sample_brush import Picture
from propainter.media.sample_car import CAR_LENGTH, Car, paint_car
from propainter.media.sample_landscape import LANE, MARGIN, paint_landscape

FRAMES_PER_S = 24
SOUND_HZ = 48_000
_OVERSAMPLING = 2
_MIN_SIDE_PX = 64
_PAN = 0.55
_PAN_PERIOD_S = 13.0
_CAR_SPEED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleClip:
    """frames: uint8 (T, H, W, 3) RGB; clean: the same without the car; holes: bool (T, H, W), car and shadow."""

    frames: NDArray[np.uint8]
    clean: NDArray[np.uint8]
    holes: NDArray[np.bool_]


def draw_sample(frames: int = 72, height_px: int = 240, width_px: int = 432, seed: int = 0) -> SampleClip:
    """Draw the clip; the same numbers give the same clip. Outside its holes it equals its clean twin exactly.

    Raises:
        ShapeError: no frames, or a side that is odd or under 64 pixels.
    """
    if frames < 1 or min(height_px, width_px) < _MIN_SIDE_PX or height_px % 2 or width_px % 2:
        raise ShapeError(
            f"a sample of {frames} frames of {width_px}x{height_px} cannot be drawn. "
            f"Give at least 1 frame and even sides of at least {_MIN_SIDE_PX} pixels."
        )
    unit_px, aspect = height_px * _OVERSAMPLING, width_px / height_px
    landscape, car = paint_landscape(seed, unit_px, aspect + _PAN), paint_car(unit_px)
    shape = (frames, height_px, width_px, 3)
    shown, clean, holes = np.empty(shape, np.uint8), np.empty(shape, np.uint8), np.empty(shape[:3], np.bool_)
    for index in range(frames):
        view = _look(landscape, index / FRAMES_PER_S, (unit_px, width_px * _OVERSAMPLING))
        clean[index] = _to_pixels(view)
        cover = _drive_past(view, car, index / FRAMES_PER_S, aspect)
        shown[index] = _to_pixels(view)
        touched = cover.reshape(height_px, _OVERSAMPLING, width_px, _OVERSAMPLING).any(axis=(1, 3))
        holes[index] = touched | (shown[index] != clean[index]).any(axis=-1)
    return SampleClip(frames=shown, clean=clean, holes=holes)


def write_sample(folder: Path, sample: SampleClip) -> tuple[Path, Path]:
    """Write sample.mp4 (H.264 and AAC, 24 frames/s) and masks/00000.png, ... into `folder`; returns both paths.

    Raises:
        OutputError: `folder` cannot be written.
    """
    video, masks = folder / "sample.mp4", folder / "masks"
    try:
        masks.mkdir(parents=True, exist_ok=True)
        for index, hole in enumerate(sample.holes):
            (masks / f"{index:05d}.png").write_bytes(cv2.imencode(".png", hole.astype(np.uint8) * 255)[1].tobytes())
        _write_video(video, sample.frames)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}). Name a folder that can be.") from error
    return video, masks


def _turned(time_s: float) -> float:
    """How far to the right the camera looks, in frame heights."""
    return _PAN * (0.5 - 0.5 * math.cos(2 * math.pi * (time_s / _PAN_PERIOD_S + 0.08)))


def _car_left(time_s: float, aspect: float) -> float:
    """Where the car's tail is in the frame. It starts outside, so that all that it will hide is seen before.

    It comes from the left again when it has left to the right.
    """
    way = aspect + 2 * CAR_LENGTH
    return (_CAR_SPEED * time_s) % way - 1.2 * CAR_LENGTH


def _look(landscape: Picture, time_s: float, shape: tuple[int, int]) -> Picture:
    """What the camera sees, finer than the frame: it turns to and fro, and breathes a little."""
    down = 0.004 * math.sin(2 * math.pi * time_s / 2.7)
    right_px, down_px = ((part + MARGIN) * shape[0] for part in (_turned(time_s), down))
    place = np.array([[1, 0, right_px], [0, 1, down_px]], np.float32)
    return cv2.warpAffine(landscape, place, shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _drive_past(view: Picture, car: Car, time_s: float, aspect: float) -> NDArray[np.bool_]:
    """Paint the car and its shadow into `view` where they are at that time; True where they are."""
    unit_px = view.shape[0]
    left = _car_left(time_s, aspect)
    bounce = 0.0012 * math.sin(2 * math.pi * time_s * 1.7)
    layers = np.dstack([car.posed(left + _turned(time_s)), car.shadow])
    # A shutter that is open for half of each frame.
    layers = cv2.blur(layers, (max(1, round(_CAR_SPEED / FRAMES_PER_S / 2 * unit_px)), 1))
    stand_column, stand_row = car.stand_px
    left_px, top_px = left * unit_px - stand_column, (LANE + bounce) * unit_px - stand_row
    column, row = math.floor(left_px), math.floor(top_px)
    rest = np.array([[1, 0, left_px - column], [0, 1, top_px - row]], np.float32)
    layers = cv2.warpAffine(layers, rest, (layers.shape[1] + 1, layers.shape[0] + 1))

    first, last = max(column, 0), min(column + layers.shape[1], view.shape[1])
    there = np.zeros(view.shape[:2], np.bool_)
    if first < last:
        layers = layers[: view.shape[0] - row, first - column : last - column]
        part = (slice(row, row + layers.shape[0]), slice(first, last))
        color, cover, shadow = layers[..., :3], layers[..., 3:4], layers[..., 4:]
        view[part] = view[part] * (1 - shadow) * (1 - cover) + color
        there[part] = (cover + shadow)[..., 0] > 1 / 255
    return there


def _to_pixels(view: Picture) -> NDArray[np.uint8]:
    """Average the finer view to the frame's pixels."""
    size = (view.shape[1] // _OVERSAMPLING, view.shape[0] // _OVERSAMPLING)
    return np.rint(np.clip(cv2.resize(view, size, interpolation=cv2.INTER_AREA), 0, 1) * 255).astype(np.uint8)


def _write_video(path: Path, frames: NDArray[np.uint8]) -> None:
    with av.open(path, "w") as container:
        # mbtree off: the same bytes every time (piece.py), by which a second demo finds its cache.
        options = {"crf": "15", "preset": "medium", "mbtree": "0"}
        picture = container.add_stream("libx264", rate=FRAMES_PER_S, options=options)
        picture.height, picture.width, picture.pix_fmt = *frames.shape[1:3], "yuv420p"
        # One thread: the same file on every machine, and so the same keys in the cache.
        picture.codec_context.thread_count = 1
        picture.codec_context.colorspace = Colorspace.ITU709
        picture.codec_context.color_primaries = ColorPrimaries.BT709
        picture.codec_context.color_trc = ColorTrc.BT709
        picture.codec_context.color_range = ColorRange.MPEG
        sound = container.add_stream("aac", rate=SOUND_HZ, layout="stereo", options={"b": "128k"})
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            frame.pts, frame.time_base = index, Fraction(1, FRAMES_PER_S)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        heard = _sound(len(frames) / FRAMES_PER_S, frames.shape[2] / frames.shape[1])
        for start in range(0, heard.shape[1], 1024):
            piece = av.AudioFrame.from_ndarray(np.ascontiguousarray(heard[:, start : start + 1024]), "fltp", "stereo")
            piece.sample_rate, piece.pts, piece.time_base = SOUND_HZ, start, Fraction(1, SOUND_HZ)
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))


def _sound(seconds: float, aspect: float) -> NDArray[np.float32]:
    """A few plucked notes, and the car that passes from ear to ear; (2, samples) in -1 to 1."""
    time_s = np.arange(round(seconds * SOUND_HZ)) / SOUND_HZ
    heard: NDArray[np.float64] = np.zeros((2, len(time_s)))
    scale_hz = 220 * 2 ** (np.array([0, 3, 5, 7, 10, 12, 15]) / 12)
    for beat in range(math.ceil(seconds / 0.375)):
        age_s = time_s[round(beat * 0.375 * SOUND_HZ) :] - beat * 0.375
        pitch_hz = scale_hz[(0, 3, 4, 2, 5, 3, 6, 4)[beat % 8]]
        pluck = sum(
            np.sin(2 * np.pi * pitch_hz * k * age_s) * np.exp(-age_s * (2 + 1.5 * k)) / k**1.6 for k in (1, 2, 3)
        )
        pluck = pluck * np.minimum(age_s / 0.004, 1)
        side = 0.5 + 0.3 * math.sin(beat * 2.1)
        heard[:, len(time_s) - len(age_s) :] += 0.09 * np.stack([pluck * (1 - side), pluck * side])

    place = np.array([_car_left(moment, aspect) for moment in time_s[::480]]) + CAR_LENGTH / 2
    place = np.interp(time_s, time_s[::480], place / aspect)
    rumble = np.random.default_rng(1).standard_normal(len(time_s))
    rumble = np.convolve(rumble, np.hanning(160) / 80, "same") + 0.4 * np.sin(2 * np.pi * 62 * time_s)
    rumble *= 0.05 * np.exp(-(((place - 0.5) / 0.55) ** 2))
    right = np.clip(place, 0, 1)
    return np.asarray(heard + rumble * np.stack([np.sqrt(1 - right), np.sqrt(right)]), np.float32)
