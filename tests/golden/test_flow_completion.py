"""Flow completion against the released code's own, on synthetic weights (synthetic_checkpoint.py).

flow_completion.npz comes from the released code, commit e870e79, on a CPU in float32; flows of a few pixels. The
tolerance is fifteen times what another implementation of the same equations differs by.
"""

import numpy as np
import pytest
import torch
from synthetic_networks import DATA, SHAPES, with_synthetic_weights

from propainter.models.flow_completion import FlowCompletion, complete

GOLDEN = np.load(DATA / "flow_completion.npz")
TOLERANCE_PX = 1e-5


@pytest.fixture(scope="module")
def network() -> FlowCompletion:
    return with_synthetic_weights("recurrent_flow_completion.pth", FlowCompletion())


def test_keys_and_shapes_are_the_checkpoints(network: FlowCompletion) -> None:
    own = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    assert own == SHAPES["recurrent_flow_completion.pth"]


@torch.inference_mode()
def test_raw_predictions_agree_outside_the_holes_too(network: FlowCompletion) -> None:
    mask = torch.from_numpy(GOLDEN["masks"]).float()[:, None]
    forward = torch.from_numpy(GOLDEN["flow_forward"])
    prediction = network((forward * (1 - mask[:-1]))[None], mask[None, :-1])
    np.testing.assert_allclose(prediction[0], GOLDEN["pred_forward"], rtol=0, atol=TOLERANCE_PX)
    backward = torch.from_numpy(GOLDEN["flow_backward"])
    prediction = network((backward * (1 - mask[1:])).flip(0)[None], mask[1:].flip(0)[None])
    np.testing.assert_allclose(prediction[0].flip(0), GOLDEN["pred_backward"], rtol=0, atol=TOLERANCE_PX)


def test_completed_flow_agrees_and_known_flow_is_untouched(network: FlowCompletion) -> None:
    flow = np.stack((GOLDEN["flow_forward"], GOLDEN["flow_backward"]), axis=1)
    hole = GOLDEN["masks"].astype(bool)
    completed = complete(network, flow, hole)
    for direction, (name, starts) in enumerate((("forward", hole[:-1]), ("backward", hole[1:]))):
        np.testing.assert_allclose(completed[:, direction], GOLDEN[f"completed_{name}"], rtol=0, atol=TOLERANCE_PX)
        known = np.broadcast_to(~starts[:, None], completed[:, direction].shape)
        assert (completed[:, direction][known] == flow[:, direction][known]).all()
