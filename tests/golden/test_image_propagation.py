"""Image propagation against the released code's own results; README.md beside this file says how they were made."""

from pathlib import Path

import numpy as np
import pytest

from propainter.ops.propagation import unpack_propagated
from propainter.stages.propagate_pixels import propagate_pixels

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("name", ["image_propagation", "propagation_hard"])
def test_propagated_frames_and_the_hole_that_stays_agree_with_the_released_code(name: str) -> None:
    golden = np.load(DATA / f"{name}.npz")
    flow = np.stack([golden["flow_forward"], golden["flow_backward"]], axis=1).astype(np.float32)
    packed = np.stack(
        [*propagate_pixels(golden["frames"], golden["masks"].astype(np.bool_), flow, engine="propainter")]
    )
    frames, hole = unpack_propagated(packed)
    expected_hole = golden["masks_updated"].reshape(hole.shape).astype(np.bool_)
    assert 0 < expected_hole.sum() < golden["masks"].sum()
    # Whole pixels are copied, so values are equal; one in ten thousand may round to another pixel.
    differs = np.abs((frames.numpy() + 1) / 2 - golden["propagated"]).max(axis=1) > 1e-6
    assert differs.mean() <= 1e-4
    assert (hole != expected_hole).mean() <= 1e-4
