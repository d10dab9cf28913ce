"""How much of a segment each task works on at once: the memory plan of this process, asked with a run's sizes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from propainter.core.settings import Precision, Settings
from propainter.runtime.allocator import keep_freed_memory, return_blocks_over, return_freed_memory
from propainter.runtime.budget import budget_for
from propainter.runtime.footprint import Footprint, Frame, Portion
from propainter.runtime.memory_plan import MemoryPlan
from tasks.plan import Run

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
        # Arrays of a segment, and not what is worked on for one pair of frames.
        return_blocks_over(_PAIR_BYTES_PER_PX * job.height_px * job.width_px)
    elif job.device == "cpu":
        # The networks' maps are as large, and made again and again.
        keep_freed_memory()
    try:
        return _plan.run(work, footprint, budget, job.device)
    finally:
        return_freed_memory()
