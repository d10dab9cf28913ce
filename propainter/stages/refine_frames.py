"""Stage refine_frames: what no other frame shows is made up, and the whole is blended in."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.models.classical.fill import fill_in_frame
from propainter.models.generator.network import Generator
from propainter.models.generator.sequence import refine_windows
from propainter.ops.propagation import Pairs
from propainter.ops.windows import Window, average_windows


def refine_frames(propagated: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Engine classical: spread the surroundings into what propagation left.

    Args:
        propagated: T times (H, W, 4), RGB and code, as propagate_pixels returns them; asked for one by one, so that
            they need not lie in memory.

    Yields:
        RGB, T times (H, W, 3); outside the hole the pixels given.
    """
    return fill_in_frame(propagated)


def refine_frames_in_windows(
    propagated: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    hole: NDArray[np.bool_],
    flow: Pairs,
    windows: Sequence[Window],
    core: FrameRange,
    generator: Generator,
    *,
    frames_at_once: int = 4,
    frames_kept: int | None = None,
) -> NDArray[np.uint8]:
    """Engine propainter: predict every hole from the windows that see it, and average.

    Args:
        propagated: T times (H, W, 4), RGB and code, of all frames that the windows look at. These and the flow are
            asked for one by one, so that they need not lie in memory.
        hole: (T, H, W), True inside: the original one.
        flow: completed, T-1 times (2, 2, H, W).
        windows: in the order of averaging; their frames, like those of core, counted from the first of these.
        core: the frames to return.
        generator: on its device.
        frames_at_once, frames_kept: as models.generator.sequence has them: matters of memory, not of result.

    Returns:
        RGB, (len(core), H, W, 3); outside the hole the pixels given.
    """
    predictions = refine_windows(
        generator, propagated, hole, flow, windows, frames_at_once=frames_at_once, frames_kept=frames_kept
    )
    source = np.stack([propagated[frame][..., :3] for frame in core])
    return average_windows(source, hole[core.start : core.stop], core, predictions)
