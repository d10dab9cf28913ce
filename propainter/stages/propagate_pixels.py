"""Stage propagate_pixels: what another frame shows goes into the hole; nothing is invented."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.trajectories import fill_along_trajectories
from propainter.ops.propagation import Pairs, propagate_image


def propagate_pixels(
    frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    hole: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
    flow: Pairs,
    core: slice = slice(None),
    engine: Literal["classical", "propainter"] = "classical",
    device: str = "cpu",
) -> Iterable[NDArray[np.uint8]]:
    """Carry known pixels along completed flow into the hole.

    Args:
        frames: RGB, T times (H, W, 3). Asked for one by one, by classical several times, so that they need not lie in
            memory.
        hole: T times (H, W), True inside; by classical asked for one by one.
        flow: completed, T-1 times (2, 2, H, W): forward then backward, (dx, dy) in pixels. Asked for pair by pair,
            so that it need not lie in memory.
        core: the frames to return; the others are context.
        engine: propainter moves whole pixels frame to frame, as the generator was trained on; classical follows each
            pixel to the nearest frame that shows it, which is sharper.
        device: where propainter's arithmetic runs; classical always runs on the CPU.

    Returns:
        For each frame of core (H, W, 4), RGB and code: 0 known, 1 still hole, 2 known but exactly mid-grey, its source
        being outside the frame (engine propainter alone). ops.propagation.unpack_propagated reads an array of them.
        Of engine classical each is painted when it is asked for; of propainter they are one array.
    """
    if engine == "classical":
        return fill_along_trajectories(frames, hole, flow, core)
    return propagate_image(frames, np.asarray(hole), flow, device)[core]
