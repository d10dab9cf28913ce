"""Stage complete_flow: motion inside the hole, as if the object were not there."""

import numpy as np
from numpy.typing import NDArray

from propainter.models import flow_completion
from propainter.models.classical import completion
from propainter.ops.propagation import Pairs


def complete_flow(
    flow: Pairs,
    hole: NDArray[np.bool_],
    network: flow_completion.FlowCompletion | None = None,
    *,
    core: slice = slice(None),
    directions_at_once: int = 2,
) -> NDArray[np.float32]:
    """Fill flow inside holes; known flow comes back unchanged.

    Args:
        flow: T-1 times (2, 2, H, W), forward then backward, (dx, dy) in pixels; asked for pair by pair.
        hole: (T, H, W), True inside.
        network: the learned completion, on its device; None: the camera's motion and a smooth fill from the rim.
        core: the pairs to return; the others are context, which the network alone has a use for.
        directions_at_once: of the network, 2 or 1: a matter of memory, not of result.

    Returns:
        (pairs of core, 2, 2, H, W).
    """
    if network is not None:
        return flow_completion.complete(network, flow, hole, core=core, directions_at_once=directions_at_once)
    return completion.complete(flow, hole)[core]
