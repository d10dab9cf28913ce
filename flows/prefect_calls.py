"""What all flows here ask of Prefect in one way: how often a run may be started, how arguments reach a task, what is
remembered of it.
"""

from typing import TypeVar, cast

from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.utilities.annotations import opaque

from propainter.core.errors import RunError

T = TypeVar("T")

MOST_ATTEMPTS = 3
"""Starts of one flow run before it is given up."""


def refuse_to_loop() -> None:
    """End a run that an automation has started again and again: what killed it would kill it once more.

    Raises:
        RunError: this is the fourth attempt, or a later one.
    """
    attempts = flow_run.run_count
    if attempts is not None and attempts > MOST_ATTEMPTS:
        raise RunError(
            f"This run was started {attempts} times and died each time. "
            "See its log for what it did last; what it finished is kept for the next run."
        )


def sealed(value: T) -> T:
    """An argument that Prefect hands on without looking for futures in it: in a plan of a long video that is slow."""
    return cast(T, opaque(value))


def forget_results() -> None:
    """Let go of what Prefect notes of every task's result, to see later whose input it becomes: that grows with every
    task, and here each is told what it waits for.
    """
    flow_run_context = FlowRunContext.get()
    if flow_run_context is not None:
        flow_run_context.run_results.clear()
