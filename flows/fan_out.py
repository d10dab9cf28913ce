"""Independent tasks, a few at a time, each with an end of its own: one that fails stops no other."""

import queue
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from flows.prefect_calls import forget_results
from flows.schedule import Future
from propainter.core.errors import ProPainterError
from tasks.plan import Done

Job = TypeVar("Job")


def run_each(
    jobs: Iterable[Job],
    submit: Callable[[Job], Future],
    *,
    in_flight: int,
    stop_at: tuple[type[Exception], ...],
    but_not_at: tuple[type[Exception], ...] = (),
) -> Iterator[tuple[Job, Done | Exception]]:
    """Run all jobs; yields each as it ends, with what it did or what it raised.

    Args:
        stop_at: what no other job would fare better with; it is raised once those in flight have ended.
        but_not_at: kinds of stop_at that are one job's own after all.
    """
    waiting, through = iter(jobs), queue.SimpleQueue[tuple[Job, Future]]()
    running, failure = 0, None
    while True:
        while running < in_flight and failure is None and (job := next(waiting, None)) is not None:
            future = submit(job)
            running += 1
            future.add_done_callback(partial(_put, through, job, future))
        if running == 0:
            break
        job, future = through.get()
        running -= 1
        forget_results()
        try:
            outcome: Done | Exception = future.result()
        except Exception as error:
            if isinstance(error, stop_at) and not isinstance(error, but_not_at):
                failure = failure or error
                continue
            outcome = error
        yield job, outcome
    if failure is not None:
        raise failure


def reason_of(error: Exception) -> str:
    """Why a job failed, for the user; with its kind, where it is a defect of ours."""
    return str(error) if isinstance(error, ProPainterError) else f"{type(error).__name__}: {error}"


def _put(through: "queue.SimpleQueue[tuple[Job, Future]]", job: Job, future: Future, _: object) -> None:
    through.put((job, future))
