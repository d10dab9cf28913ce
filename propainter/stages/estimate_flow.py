"""Stage estimate_flow: motion between consecutive frames, as they were shot, holes and all."""

import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.dis import dis_flow


def estimate_flow(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Flow between consecutive frames, both ways; each pair depends on its two frames alone.

    Args:
        frames: RGB, (T, H, W, 3).

    Returns:
        (T-1, 2, 2, H, W): forward then backward, (dx, dy) in pixels.
    """
    return dis_flow(frames)
