"""Stage estimate_flow: how pixels move between neighbouring frames, both ways, on the frames as they are."""

import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.dis import dis_flow
from propainter.models.raft.network import LastFrame, Raft, flow_both_ways


def estimate_flow(
    frames: NDArray[np.uint8], raft: Raft | None = None, *, iterations: int = 20, flows_at_once: int = 2,
    last: LastFrame | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    """Optical flow between consecutive frames.

    Args:
        frames: RGB, (T, H, W, 3), unmasked, T at least 2.
        raft: the learned network, on its device; None: dense inverse search.
        iterations: of the network.
        flows_at_once: that the network refines together, two of them a pair: a matter of memory, not of result.
        last: what the network kept of the frame before, where these frames go on with it; see `flow_both_ways`.

    Returns:
        (T-1, 2, 2, H, W): forward (t to t+1) then backward (t+1 to t), (dx, dy) in pixels.
    """
    if raft is None:
        return dis_flow(frames)
    return flow_both_ways(raft, frames, iterations=iterations, flows_at_once=flows_at_once, last=last)
