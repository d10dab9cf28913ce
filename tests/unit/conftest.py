"""Both ways through what a library in C computes where it was compiled."""

from collections.abc import Iterator

import pytest
import torch

from propainter.models.raft import correlation
from propainter.ops import compiled, deform_conv, winograd


@pytest.fixture(params=["compiled", "torch"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inference with the library, and without."""
    if request.param == "torch":
        for module in (correlation, deform_conv, winograd):
            monkeypatch.setattr(module, "library", lambda: None)
    elif compiled.library() is None:
        pytest.skip("installed without a C compiler")
    with torch.inference_mode():
        yield


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)
