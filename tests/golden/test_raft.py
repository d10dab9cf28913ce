"""RAFT against the released code's own flow, on synthetic weights (synthetic_checkpoint.py).

raft.npz comes from the released code, commit e870e79, on a CPU in float32. Tolerances: five to twenty times what
another implementation of the same equations differs by.
"""

import numpy as np
import pytest
import torch
from synthetic_networks import DATA, SHAPES, with_synthetic_weights

from propainter.models.raft.network import Raft, flow_both_ways
from propainter.ops.propagation import normalise_frames

GOLDEN = np.load(DATA / "raft.npz")


@pytest.fixture(scope="module")
def raft() -> Raft:
    return with_synthetic_weights("raft-things.pth", Raft())


def test_keys_and_shapes_are_the_checkpoints(raft: Raft) -> None:
    released = {key.removeprefix("module."): shape for key, shape in SHAPES["raft-things.pth"].items()}
    assert {key: list(tensor.shape) for key, tensor in raft.state_dict().items()} == released


@torch.inference_mode()
def test_features_of_a_frame_agree(raft: Raft) -> None:
    features = raft.encode(normalise_frames(GOLDEN["frames"][:1]))
    np.testing.assert_allclose(features.matching_T256hw[0], GOLDEN["fnet_frame0"].squeeze(), rtol=0, atol=1e-4)
    np.testing.assert_allclose(features.context_T256hw[0], GOLDEN["cnet_frame0"].squeeze(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("iterations", "tolerance_px"), [(1, 1e-4), (20, 5e-4)])
def test_flow_agrees_both_ways(raft: Raft, iterations: int, tolerance_px: float) -> None:
    flow = flow_both_ways(raft, GOLDEN["frames"], iterations=iterations)
    for direction, name in enumerate(("forward", "backward")):
        expected = GOLDEN[f"flow_{name}_it{iterations}"]
        np.testing.assert_allclose(flow[:, direction], expected, rtol=0, atol=tolerance_px)
