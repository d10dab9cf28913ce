"""The generator against the released code's own output, on synthetic weights (synthetic_checkpoint.py).

Both files come from the released code, commit e870e79, on a CPU in float32. In generator.npz all flow can be relied on;
in propagation_hard.npz it partly disagrees, and holes lie at the frame's edge and in the reference frame alone.
Tolerances: five to ten times what another implementation of the same equations differs by.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from synthetic_networks import DATA, SHAPES, with_synthetic_weights
from torch import Tensor

from propainter.models.generator.network import EncodedFrames, Generator
from propainter.models.generator.propagation import Motion
from propainter.ops.regions import Region

LOCAL = 5
OUTPUT_TOLERANCE = 1e-5
FEATURE_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What the network made of one file, and that file."""

    golden: dict[str, np.ndarray]
    encoded: EncodedFrames
    propagated: Tensor
    tokens: Tensor
    output: Tensor


@pytest.fixture(scope="module")
def generator() -> Generator:
    return with_synthetic_weights("ProPainter.pth", Generator())


@pytest.fixture(scope="module", params=["generator.npz", "propagation_hard.npz"])
def stages(request: pytest.FixtureRequest, generator: Generator) -> Stages:
    with np.load(DATA / request.param) as archive:
        golden = dict(archive)
    frames = golden["propagated"] if "propagated" in golden else golden["frames"]
    T, H, W = golden["masks"].shape
    masks, still = (torch.from_numpy(golden[name]).float().view(T, 1, H, W) for name in ("masks", "masks_updated"))
    flow = np.stack((golden["flow_forward"], golden["flow_backward"]), axis=1)[: LOCAL - 1]
    with torch.inference_mode():
        encoded = generator.encode(torch.from_numpy(frames) * 2 - 1, masks, still)
        local = EncodedFrames.join([encoded.frame(t) for t in range(LOCAL)])
        motion = Motion.of(torch.from_numpy(flow).float())
        propagated = generator.propagate(local, motion)
        tokens = generator.transform(propagated, local, encoded.frame(LOCAL), frames_at_once=4)
        output = generator.decode(propagated, tokens, [Region.whole(H, W)] * LOCAL)
    return Stages(golden=golden, encoded=encoded, propagated=propagated, tokens=tokens, output=output)


def test_keys_and_shapes_are_the_checkpoints(generator: Generator) -> None:
    assert {key: list(tensor.shape) for key, tensor in generator.state_dict().items()} == SHAPES["ProPainter.pth"]


@pytest.mark.parametrize("stages", ["generator.npz"], indirect=True)
def test_encoder_agrees(stages: Stages) -> None:
    expected = stages.golden["encoder_frame0"][0]
    np.testing.assert_allclose(stages.encoded.features_T128hw[0], expected, rtol=0, atol=FEATURE_TOLERANCE)


def test_feature_propagation_agrees(stages: Stages) -> None:
    expected = stages.golden["feature_propagation_frame0"][0]
    np.testing.assert_allclose(stages.propagated[0], expected, rtol=0, atol=FEATURE_TOLERANCE)


def test_transformer_agrees(stages: Stages) -> None:
    expected = stages.golden["transformer_frame0"]
    np.testing.assert_allclose(stages.tokens[0], expected, rtol=0, atol=FEATURE_TOLERANCE)


def test_output_agrees(stages: Stages) -> None:
    np.testing.assert_allclose(stages.output, stages.golden["output"], rtol=0, atol=OUTPUT_TOLERANCE)
