"""Source frames to processing frames."""

import numpy as np
from numpy.typing import NDArray

from propainter.core.geometry import Geometry
from propainter.media.resize import resize_frames


def extract_frames(frames_THW3: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """Resize decoded frames to the size that the method works on.

    Args:
        frames_THW3: uint8 RGB at source size.

    Returns:
        uint8 RGB, (T, geometry.height_px, geometry.width_px, 3); the input itself where the sizes are equal.

    Source: pipeline step 1 of the released inference (Pillow's bicubic filter).
    """
    return resize_frames(frames_THW3, geometry.height_px, geometry.width_px)
