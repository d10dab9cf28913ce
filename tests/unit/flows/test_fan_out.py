"""Independent tasks, a few at a time."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from flows.fan_out import run_each
from propainter.core.errors import MediaError, StoreError
from tasks.plan import Done

DONE = Done(seconds=0.0, bytes=0)


@pytest.fixture
def submit() -> Callable[[int], Future[Done]]:
    pool, lock, running = ThreadPoolExecutor(8), Lock(), [0]

    def work(job: int) -> Done:
        with lock:
            running[0] += 1
            assert running[0] <= 2
        try:
            if job == 3:
                raise MediaError("three")
            if job == 5:
                raise StoreError("five")
            return DONE
        finally:
            with lock:
                running[0] -= 1

    return lambda job: pool.submit(work, job)


def test_a_job_that_fails_stops_no_other(submit: Callable[[int], Future[Done]]) -> None:
    ended = dict(run_each([1, 2, 3, 4], submit, in_flight=2, stop_at=(StoreError,)))
    assert (ended[1], ended[2], ended[4]) == (DONE, DONE, DONE)
    assert isinstance(ended[3], MediaError)


def test_what_no_other_job_would_survive_is_raised_and_nothing_more_is_started(
    submit: Callable[[int], Future[Done]],
) -> None:
    started = []

    def counted(job: int) -> Future[Done]:
        started.append(job)
        return submit(job)

    with pytest.raises(StoreError, match="five"):
        list(run_each([4, 5, 6], counted, in_flight=1, stop_at=(StoreError,)))
    assert started == [4, 5]


def test_an_exception_to_what_stops_is_one_jobs_own(submit: Callable[[int], Future[Done]]) -> None:
    ended = dict(run_each([5, 4], submit, in_flight=1, stop_at=(Exception,), but_not_at=(StoreError,)))
    assert isinstance(ended[5], StoreError)
    assert ended[4] == DONE


def test_prefect_keeps_nothing_of_a_task_that_has_ended(prefect_server: str) -> None:
    @task(cache_policy=NO_CACHE)
    def work(job: int) -> Done:
        return Done(seconds=float(job), bytes=0)

    @flow
    def many() -> int:
        list(run_each(range(20), work.submit, in_flight=2, stop_at=()))
        context = FlowRunContext.get()
        assert context is not None
        return len(context.run_results)

    assert many() <= 2
