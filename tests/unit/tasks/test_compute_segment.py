"""When a segment's device is free again: once its frames are computed, not once they are written."""

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from propainter.core.errors import MemoryBudgetError
from propainter.core.settings import Settings
from propainter.runtime import footprint
from propainter.runtime.footprint import Footprint
from tasks.devices import DeviceLease
from tasks.memory import Job, compute_segment
from tasks.plan import Done, Run

FRAMES = np.zeros((2, 4, 4, 3), np.uint8)


def done_with(made: Iterable[NDArray[Any]], events: list[str]) -> Done:
    def write(key: str, index: int, frames: Iterable[NDArray[Any]]) -> bool:
        for _ in frames:
            events.append("asked for")
        events.append("written")
        return True

    run = SimpleNamespace(
        plan={"refine_frames": SimpleNamespace(key="key", array_bytes=lambda index: 96)},
        store=SimpleNamespace(write=write),
        inputs=SimpleNamespace(clip=range(2), geometry=SimpleNamespace(height_px=4, width_px=4), hole_share=1.0),
        settings=Settings(engine="classical"),
        devices=("cpu",),
    )
    held = DeviceLease(device="cpu", give_back=lambda: events.append("given back"))
    return compute_segment(cast(Run, run), "refine_frames", 0, held, memory_of, lambda _: made)


def memory_of(job: Job) -> Footprint:
    return footprint.classical(job.frame("fp32"), "refine_frames", job.frames)


def test_the_device_is_given_back_when_the_last_frame_is_computed_and_before_it_is_written() -> None:
    events: list[str] = []
    assert done_with(iter(FRAMES), events).bytes == 96
    assert events == ["asked for", "asked for", "given back", "written"]


def test_with_all_frames_computed_at_once_it_is_given_back_before_any_is_written() -> None:
    events: list[str] = []
    done_with(FRAMES, events)
    assert events == ["given back", "asked for", "asked for", "written"]


def test_memory_that_runs_out_at_a_later_frame_is_said_in_our_words() -> None:
    def too_large() -> Iterator[NDArray[Any]]:
        yield FRAMES[0]
        raise MemoryError

    with pytest.raises(MemoryBudgetError, match="refine_frames ran out of memory on cpu"):
        done_with(too_large(), [])
