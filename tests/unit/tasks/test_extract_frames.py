"""Decoding on its way into the store."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from propainter.core.errors import DiskFullError
from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry
from tasks.extract_frames import extract_frames
from tasks.plan import Run


def test_a_write_that_fails_leaves_the_video_to_the_next_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    released = False

    @contextmanager
    def video_for(stage: str, run: Run) -> Iterator[Any]:
        nonlocal released
        try:
            yield SimpleNamespace(read=lambda frames: np.zeros((len(frames), 16, 16, 3), np.uint8))
        finally:
            released = True

    def write(key: str, index: int, frames: Iterator[NDArray[np.uint8]]) -> bool:
        next(frames)
        assert not released
        raise DiskFullError("no space left")

    monkeypatch.setattr("tasks.extract_frames.video_for", video_for)
    segment = SimpleNamespace(tile=SimpleNamespace(core=FrameRange(0, 16)))
    run = SimpleNamespace(
        plan={"extract_frames": SimpleNamespace(key="key", segments=[segment])},
        inputs=SimpleNamespace(in_source=lambda frames: frames, geometry=Geometry.plan(16, 16)),
        store=SimpleNamespace(write=write),
    )
    with pytest.raises(DiskFullError) as kept:
        extract_frames.fn(cast(Run, run), 0)
    assert released, kept
