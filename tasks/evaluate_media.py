"""Frames and masks at the size that is scored, whatever size they have."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry
from propainter.core.settings import Masks
from propainter.media.info import VideoInfo
from propainter.media.masks import open_masks

ReadHoles = Callable[[FrameRange], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnySize(Geometry):
    """Nothing is computed at this size by a network: it need not be a multiple of 8."""

    @property
    def frame_height_px(self) -> int:
        return self.asked_height_px

    @property
    def frame_width_px(self) -> int:
        return self.asked_width_px


def given_holes(masks: Path, info: VideoInfo, height_px: int, width_px: int) -> ReadHoles:
    """Masks as they are, undilated, by the nearest rule.

    Raises:
        MaskError: they do not go with the video.
    """
    source = open_masks(masks, info, Masks(dilation=0))
    size = AnySize(
        source_height_px=info.height_px, source_width_px=info.width_px,
        asked_height_px=height_px, asked_width_px=width_px,
    )  # fmt: skip
    return lambda frames: source.read(frames, size)


def scaled(frames: NDArray[np.uint8], height_px: int, width_px: int) -> NDArray[np.uint8]:
    """By OpenCV's bilinear, as the published figures have it."""
    if frames.shape[1:3] == (height_px, width_px):
        return frames
    return np.stack([cv2.resize(frame, (width_px, height_px), interpolation=cv2.INTER_LINEAR) for frame in frames])
