"""Stage complete_flow: motion inside the hole, as if the object were not there."""

import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.completion import complete


def complete_flow(flow: NDArray[np.float32], hole: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill flow inside holes; known flow comes back unchanged.

    Args:
        flow: (T-1, 2, 2, H, W), forward then backward, (dx, dy) in pixels.
        hole: (T, H, W), True inside.

    Returns:
        Shape and dtype of flow.
    """
    return complete(flow, hole)
