"""Flow on its way into the store, a few pairs at a time."""

import numpy as np
import pytest
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.core.settings import Storage
from tasks.flow_storage import in_storage, to_storage

FLOW = np.random.default_rng(0).normal(scale=9, size=(10, 2, 2, 3, 4)).astype(np.float32)
PAIRS = FrameRange(16, 26)


@pytest.mark.parametrize("storage", ["default", "exact"])
def test_pairs_computed_a_few_at_a_time_are_stored_as_if_all_at_once(storage: Storage) -> None:
    asked: list[int] = []

    def compute(pairs: FrameRange) -> NDArray[np.float32]:
        asked.append(len(pairs))
        return FLOW[pairs.slice_in(PAIRS)]

    stored, whole = in_storage(PAIRS, compute, storage), to_storage(FLOW, storage)
    assert stored.dtype == whole.dtype
    assert (stored == whole).all()
    assert asked == [4, 4, 2]
