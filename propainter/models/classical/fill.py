"""What no frame shows: made up from the frame itself, smooth and therefore steady in time."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.membrane import spread
from propainter.ops.propagation import KNOWN

_GREY = 128


def fill_in_frame(propagated: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Spread the surroundings into all that is not KNOWN; shapes as in stages.refine_frames.

    A frame of which nothing is known is a copy of the nearest one that has something; grey where there is none.
    """
    shown: NDArray[np.intp] | None = None
    for t, packed in enumerate(propagated):
        if _is_blank(packed):
            if shown is None:
                shown = np.flatnonzero([not _is_blank(each) for each in propagated])
            if not len(shown):
                yield np.full((*packed.shape[:2], 3), _GREY, np.uint8)
                continue
            packed = propagated[int(shown[np.abs(shown - t).argmin()])]
        yield _filled(packed)


def _is_blank(packed: NDArray[np.uint8]) -> bool:
    return not (packed[..., 3] == KNOWN).any()


def _filled(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    out = np.asarray(cv2.cvtColor(packed, cv2.COLOR_RGBA2RGB), np.uint8)
    unknown = packed[..., 3] != KNOWN
    if unknown.any():
        filled = spread(out.astype(np.float32), unknown)
        out[unknown] = np.rint(filled[unknown]).astype(np.uint8)
    return out
