"""Stage complete_flow: motion inside the hole, as if the object were not there."""

import numpy as np
from numpy.typing import NDArray

from propainter.models import flow_completion
from propainter.models.classical import completion


def complete_flow(
    flow: NDArray[np.float32], hole: NDArray[np.bool_], network: flow_completion.FlowCompletion | None = None
) -> NDArray[np.float32]:
    """Fill flow inside holes; known flow comes back unchanged.

    Args:
        flow: (T-1, 2, 2, H, W), forward then backward, (dx, dy) in pixels.
        hole: (T, H, W), True inside.
        network: the learned completion, on its device; None: the camera's motion and a smooth fill from the rim.

    Returns:
        Shape and dtype of flow.
    """
    return completion.complete(flow, hole) if network is None else flow_completion.complete(network, flow, hole)
