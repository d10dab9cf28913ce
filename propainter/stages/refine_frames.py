"""Stage refine_frames: what no other frame shows is made up, without a seam to what is known."""

import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.fill import fill_in_frame


def refine_frames(propagated: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Inpaint what propagation left, mid-grey from outside the frame included.

    Args:
        propagated: (T, H, W, 4), RGB and code, as propagate_pixels returns it.
        hole: (T, H, W), True inside: the original one.

    Returns:
        RGB, (T, H, W, 3); outside the hole the pixels given.
    """
    filled = fill_in_frame(propagated)
    return np.where(hole[..., None], filled, propagated[..., :3])
