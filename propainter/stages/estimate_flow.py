"""Stage estimate_flow: how pixels move between neighbouring frames, both ways, on the frames as they are."""

import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.dis import dis_flow
from propainter.models.raft.network import Raft, flow_both_ways


def estimate_flow(frames: NDArray[np.uint8], raft: Raft | None = None, *, iterations: int = 20) -> NDArray[np.float32]:
    """Optical flow between consecutive frames.

    Args:
        frames: RGB, (T, H, W, 3), unmasked, T at least 2.
        raft: the learned network, on its device; None: dense inverse search.
        iterations: of the network.

    Returns:
        (T-1, 2, 2, H, W): forward (t to t+1) then backward (t+1 to t), (dx, dy) in pixels.
    """
    return dis_flow(frames) if raft is None else flow_both_ways(raft, frames, iterations=iterations)
