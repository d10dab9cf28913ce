"""Optical flow by OpenCV's dense inverse search."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_REFERENCE_WIDTH_PX = 432
_FINEST_SCALE = 1
"""Of a frame up to twice the reference: flow is found at half its size. One more for every further doubling: on large
frames patches of 8 px see motion blur and little else, and take four times as long for it."""

_REFINEMENTS = 2
"""OpenCV's preset has 5, which doubles the time and gains nothing that the filled hole shows."""


def dis_flow(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Flow between consecutive frames, both ways.

    Args:
        frames: RGB, (T, H, W, 3).

    Returns:
        (T-1, 2, 2, H, W): forward then backward, (dx, dy) in pixels.
    """
    count, height, width = frames.shape[:3]
    flow = np.empty((max(count - 1, 0), 2, 2, height, width), np.float32)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(_FINEST_SCALE + max(0, (max(height, width) // _REFERENCE_WIDTH_PX).bit_length() - 1))
    search.setVariationalRefinementIterations(_REFINEMENTS)
    for pair in range(count - 1):
        flow[pair, 0] = search.calc(grey[pair], grey[pair + 1], None).transpose(2, 0, 1)
        flow[pair, 1] = search.calc(grey[pair + 1], grey[pair], None).transpose(2, 0, 1)
    return flow
