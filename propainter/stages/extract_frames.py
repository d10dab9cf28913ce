"""Source frames to processing frames."""

import numpy as np
from numpy.typing import NDArray

from propainter.core.geometry import Geometry
from propainter.media.resize import fit_frames


def extract_frames(frames_THW3: NDArray[np.uint8], geometry: Geometry, first_frame: int = 0) -> NDArray[np.uint8]:
    """Bring decoded frames to the size that the method works on; what outpainting adds around them is black.

    Args:
        frames_THW3: uint8 RGB at source size.
        first_frame: which of the source's frames the first of these is: it tells where a crop that pans lies.

    Returns:
        uint8 RGB, (T, geometry.height_px, geometry.width_px, 3); the input itself where the sizes are equal.

    Source: pipeline steps 1 and 7 of the released inference (Pillow's bicubic filter, a centred canvas).
    """
    return fit_frames(frames_THW3, geometry, first_frame)
