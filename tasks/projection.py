"""What memory a video's stages will take, before any of them runs; and a refusal, with what would fit, where none will.

The largest segment of each stage counts: memory does not grow with the length of the video beyond it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil

from propainter.core.errors import MemoryBudgetError
from propainter.core.geometry import MIN_SIDE_PX, SIDE_MULTIPLE_PX
from propainter.models.raft import network as raft
from propainter.runtime.budget import Budget, arrays_bytes, budget_for, in_words
from propainter.runtime.footprint import Footprint, Portion
from tasks import complete_flow, estimate_flow, propagate_pixels, refine_frames
from tasks.memory import Job
from tasks.plan import Run

MEMORY_OF: Mapping[str, Callable[[Job], Footprint]] = {
    "estimate_flow": estimate_flow.memory_of,
    "complete_flow": complete_flow.memory_of,
    "propagate_pixels": propagate_pixels.memory_of,
    "refine_frames": refine_frames.memory_of,
}
"""The stages that are planned; decoding and encoding hold a few frames."""

_SMALLEST_SIDE_PX = {"classical": MIN_SIDE_PX, "propainter": raft.MIN_SIDE_PX}
_SHORTEST_SUBVIDEO = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """Of one stage, with the largest portion that the budget allows, or the smallest one: fits says which.

    device_bytes: on a GPU; where the device is a CPU all of it is in ram_bytes.
    """

    stage: str
    portion: Portion
    ram_bytes: int
    device_bytes: int
    fits: bool

    @property
    def said(self) -> str:
        return _said(self.ram_bytes, self.device_bytes)


def project(job: Job, budget: Budget, stages: Iterable[str] = tuple(MEMORY_OF)) -> tuple[Projection, ...]:
    """What each of these stages will take at its peak, beyond what the process holds anyway."""
    return tuple(_project(MEMORY_OF[stage](job), budget) for stage in stages)


def _project(footprint: Footprint, budget: Budget) -> Projection:
    portion = budget.largest_portion(footprint)
    device_bytes = footprint.device_bytes(portion or footprint.least) + footprint.weights_bytes
    on_cpu = budget.device_bytes is None
    return Projection(
        stage=footprint.stage,
        portion=portion or footprint.least,
        ram_bytes=arrays_bytes(footprint) + (device_bytes if on_cpu else 0),
        device_bytes=0 if on_cpu else device_bytes,
        fits=portion is not None,
    )


def project_run(run: Run) -> Mapping[str, tuple[Projection, ...]]:
    """The same for each device of a run, with what is free on it now."""
    return {
        device: project(Job.of(run, device), budget_for(device, run.settings.memory, sharing=len(run.devices)))
        for device in run.devices
    }


def require_memory_for(run: Run, stages: Iterable[str]) -> None:
    """As `require_memory`, for those of these stages that are planned, on each device of a run with what is free now.

    Raises:
        MemoryBudgetError: as there.
    """
    planned = [stage for stage in MEMORY_OF if stage in set(stages)]
    for device in run.devices:
        budget = budget_for(device, run.settings.memory, sharing=len(run.devices))
        require_memory(Job.of(run, device), budget, planned)


def require_memory(job: Job, budget: Budget, stages: Iterable[str]) -> None:
    """Refuse before it begins what would run out of memory in the middle.

    Raises:
        MemoryBudgetError: a stage does not fit however small the portion; with what it needs, what there is, and the
            settings nearest to those given that would fit.
    """
    stages = tuple(stages)
    for needed in project(job, budget, stages):
        if not needed.fits:
            more = "a larger --memory-fraction" + (" or --gpu-memory" if job.settings.memory.gpu_gb else "")
            ways_out = ", or ".join((*_that_would_fit(job, budget, stages), more))
            raise MemoryBudgetError(
                f"{needed.stage} needs {needed.said} at {job.width_px}x{job.height_px} on {job.device}, "
                f"and {_said(budget.ram_bytes, budget.device_bytes)} may be used. Give {ways_out}."
            )


def _that_would_fit(job: Job, budget: Budget, stages: tuple[str, ...]) -> Iterator[str]:
    def fits(other: Job) -> bool:
        return all(projection.fits for projection in project(other, budget, stages))

    settings = job.settings
    asked = min(settings.complete_flow.subvideo_length, job.frames)
    for frames in range(asked - 5, _SHORTEST_SUBVIDEO - 1, -5):
        shorter = replace(settings, complete_flow=replace(settings.complete_flow, subvideo_length=frames))
        if fits(replace(job, settings=shorter)):
            yield f"--subvideo-length {frames}"
            break
    given_ratio = settings.extract_frames.resize_ratio
    for percent in range(95, 5, -5):
        said = f"{given_ratio * percent / 100:.2g}"
        sides_px = [side_px * float(said) / given_ratio for side_px in (job.height_px, job.width_px)]
        # Scaled from the source's sides, of which these were floored, a side may come out one step larger.
        height_px, width_px = (ceil(side_px / SIDE_MULTIPLE_PX) * SIDE_MULTIPLE_PX for side_px in sides_px)
        if min(sides_px) >= _SMALLEST_SIDE_PX[settings.engine] and fits(
            replace(job, height_px=height_px, width_px=width_px)
        ):
            yield f"--resize-ratio {said}"
            break


def _said(ram_bytes: int, device_bytes: int | None) -> str:
    ram = f"{in_words(ram_bytes)} of RAM"
    return f"{in_words(device_bytes)} of its own and {ram}" if device_bytes else ram
