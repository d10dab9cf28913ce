"""Flow on its way into the store, pair by pair."""

import numpy as np
import pytest
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.core.settings import Storage
from tasks.flow_storage import in_storage, to_storage

FLOW = np.random.default_rng(0).normal(scale=9, size=(10, 2, 2, 3, 4)).astype(np.float32)
PAIRS = FrameRange(16, 26)


@pytest.mark.parametrize("storage", ["default", "exact"])
def test_pairs_computed_when_they_are_asked_for_are_stored_as_if_all_at_once(storage: Storage) -> None:
    asked: list[FrameRange] = []

    def compute(pair: FrameRange) -> NDArray[np.float32]:
        asked.append(pair)
        return FLOW[pair.slice_in(PAIRS)]

    pairs, whole = in_storage(PAIRS, compute, storage), to_storage(FLOW, storage)
    first = next(pairs)
    assert asked == [FrameRange(16, 17)]
    stored = np.stack([first, *pairs])
    assert stored.dtype == whole.dtype
    assert (stored == whole).all()
    assert len(asked) == 10
