"""What no frame shows: made up from the frame itself, smooth and therefore steady in time."""

import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.membrane import spread
from propainter.ops.propagation import KNOWN

_GREY = 128


def fill_in_frame(propagated: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Spread the surroundings into all that is not KNOWN; shapes as in stages.refine_frames.

    A frame of which nothing is known is a copy of the nearest one that has something; grey where there is none.
    """
    out = np.empty((*propagated.shape[:3], 3), np.uint8)
    for packed, frame in zip(propagated, out, strict=True):
        cv2.cvtColor(packed, cv2.COLOR_RGBA2RGB, frame)
    unknown = propagated[..., 3] != KNOWN
    blank = unknown.all(axis=(1, 2))
    for t in np.flatnonzero(unknown.any(axis=(1, 2)) & ~blank):
        filled = spread(out[t].astype(np.float32), unknown[t])
        out[t][unknown[t]] = np.rint(filled[unknown[t]]).astype(np.uint8)
    shown = np.flatnonzero(~blank)
    for t in np.flatnonzero(blank):
        out[t] = out[shown[np.abs(shown - t).argmin()]] if len(shown) else _GREY
    return out
