"""How much of a segment each task works on and holds at once: the memory plan of this process, asked with a run's
sizes; and frames written as they are computed."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from numpy.typing import NDArray

from propainter.core.settings import Precision, Settings
from propainter.runtime.allocator import keep_freed_memory, return_blocks_over, return_freed_memory
from propainter.runtime.budget import budget_for
from propainter.runtime.footprint import Footprint, Frame, Portion
from propainter.runtime.memory_plan import MemoryPlan
from tasks.devices import DeviceLease
from tasks.plan import Done, Run

T = TypeVar("T")

_PAIR_BYTES_PER_PX = 40
"""Of the classical engine: flow both ways as float32, and as much again and a half."""

_plan = MemoryPlan()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the memory of a video's stages depends on.

    settings: with the engine decided. hole_share: of the frame, where the hole is largest.
    """

    frames: int
    height_px: int
    width_px: int
    settings: Settings
    device: str
    hole_share: float = 1.0

    @classmethod
    def of(cls, run: Run, device: str) -> "Job":
        return cls(
            frames=len(run.inputs.clip),
            height_px=run.inputs.geometry.height_px,
            width_px=run.inputs.geometry.width_px,
            settings=run.settings,
            device=device,
            hole_share=run.inputs.hole_share,
        )

    def frame(self, precision: Precision) -> Frame:
        return Frame(
            height_px=self.height_px,
            width_px=self.width_px,
            value_bytes=4 if precision == "fp32" else 2,
            on_cpu=self.device == "cpu",
        )


def compute_segment(
    run: Run,
    stage: str,
    index: int,
    held: DeviceLease,
    footprint: Callable[[Job], Footprint],
    make: Callable[[Portion], Iterable[NDArray[Any]]],
) -> Done:
    """Compute a segment's frames on a leased device, as many at once as memory allows, and write them.

    The device is given back as soon as the last frame is computed: others need not wait until it is written.

    Args:
        make: the frames, all in one; or an iterator, which computes each when it is asked for and is closed where it
            cannot be written.
    """
    plan, job = run.plan[stage], Job.of(run, held.device)
    started = time.perf_counter()
    seconds = 0.0

    def computed() -> None:
        nonlocal seconds
        held.give_back()
        seconds = time.perf_counter() - started

    def one_by_one(made: Iterator[NDArray[Any]]) -> Generator[NDArray[Any]]:
        yield from made
        computed()

    def work(portion: Portion) -> Iterable[NDArray[Any]] | None:
        """The frames that are still to be written: if that fails they are not computed again, without a device."""
        made = make(portion)
        if isinstance(made, Iterator):
            with closing(one_by_one(made)) as frames:
                run.store.write(plan.key, index, frames)
            return None
        computed()
        return made

    made, notices = within_memory(job, footprint(job), work, sharing=len(run.devices))
    if made is not None:
        run.store.write(plan.key, index, made)
        del made
        return_freed_memory()
    return Done(seconds=seconds, bytes=plan.array_bytes(index), notices=notices)


def within_memory(
    job: Job, footprint: Footprint, work: Callable[[Portion], T], *, sharing: int
) -> tuple[T, tuple[str, ...]]:
    """Do a segment's work on job.device with the largest portion that the budget allows; smaller if memory runs out.

    Args:
        sharing: how many devices of this run work at the same time from one RAM.

    Returns:
        What work returned, and remarks for the user.

    Raises:
        MemoryBudgetError: memory ran out with the smallest portion.
    """
    budget = budget_for(job.device, job.settings.memory, sharing=sharing)
    if job.settings.engine == "classical":
        # Not what is worked on for one pair of frames, which is made again and again.
        return_blocks_over(_PAIR_BYTES_PER_PX * job.height_px * job.width_px)
    elif job.device == "cpu":
        # The networks' maps are as large, and made again and again.
        keep_freed_memory()
    try:
        return _plan.run(work, footprint, budget, job.device)
    finally:
        return_freed_memory()
