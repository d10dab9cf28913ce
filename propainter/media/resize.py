"""Between source and processing size, by Pillow's rules, which the learned engine was built on; canvas and crop."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from propainter.core.geometry import Geometry

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels, whole numbers between them."""


def resize_frames(
    frames: NDArray[np.uint8], height_px: int, width_px: int, box: Box | None = None
) -> NDArray[np.uint8]:
    """Pillow's bicubic: a = -0.5, antialiased, 8 bits between its two passes.

    Args:
        frames: (n, H, W, 3).
        box: the part of a frame that is resized; None: all of it.

    Returns:
        (n, height_px, width_px, 3); frames itself where the size is right already.
    """
    if frames.shape[1:3] == (height_px, width_px) and box is None:
        return frames
    resized = np.empty((len(frames), height_px, width_px, 3), np.uint8)
    for target, frame in zip(resized, frames, strict=True):
        picture = Image.fromarray(frame).resize((width_px, height_px), Image.Resampling.BICUBIC, box)
        target[...] = np.asarray(picture)
    return resized


def fit_frames(frames: NDArray[np.uint8], geometry: Geometry, first_frame: int = 0) -> NDArray[np.uint8]:
    """Frames at source size as the method works on them.

    Args:
        frames: (n, source_height_px, source_width_px, 3).
        first_frame: which of the source's frames the first of these is.

    Returns:
        (n, geometry.height_px, geometry.width_px, 3); frames itself where the size is right already.
    """
    whole = whole_frames(frames, geometry)
    if geometry.crop is None:
        return whole
    cropped = np.empty((len(whole), geometry.height_px, geometry.width_px, 3), np.uint8)
    for number, (target, frame) in enumerate(zip(cropped, whole, strict=True), first_frame):
        target[...] = frame[geometry.at(number).box]
    return cropped


def whole_frames(frames: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """The same before cropping: resized, and in outpainting centred on a black canvas."""
    resized = resize_frames(frames, geometry.frame_height_px, geometry.frame_width_px)
    if not geometry.outpaints:
        return resized
    rows, columns = (geometry.margin_y_px,) * 2, (geometry.margin_x_px,) * 2
    return np.pad(resized, ((0, 0), rows, columns, (0, 0)))


def resize_holes(holes: NDArray[np.bool_], height_px: int, width_px: int) -> NDArray[np.bool_]:
    """Pillow's nearest: pixel i comes from floor((i + 0.5) x in / out).

    Args:
        holes: (n, H, W), True inside.

    Returns:
        (n, height_px, width_px); holes itself where the size is right already.
    """
    if holes.shape[1:] == (height_px, width_px):
        return holes
    rows = _nearest(holes.shape[1], height_px)
    columns = _nearest(holes.shape[2], width_px)
    return holes[:, rows[:, None], columns]


def _nearest(size: int, new_size: int) -> NDArray[np.int64]:
    """In integers: (2 i + 1) in / (2 out) has no rounding to differ in."""
    return (2 * np.arange(new_size) + 1) * size // (2 * new_size)
