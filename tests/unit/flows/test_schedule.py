import threading
from collections.abc import Sequence
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakSet

import pytest

from flows.schedule import IO_IN_FLIGHT, LOOK_AHEAD, Future, run_in_order
from propainter.core.frames import FrameRange
from tasks.plan import STAGES, Done, Node, Plan, Read, SegmentInputs, StagePlan, demand, plan_stage

NOTHING = Done(seconds=0.0, bytes=0)


def chained_plan(frames: int, segment_frames: int) -> Plan:
    """Six stages, each segment of one reading the same frames of the stage before."""
    plan: dict[str, StagePlan] = {}
    for stage in STAGES:
        before = list(plan)[-1:]
        plan[stage] = plan_stage(
            stage,
            epoch=1,
            settings={},
            tiles=[
                SegmentInputs(tile=tile, depends={}, reads=tuple(Read(stage=s, frames=tile.core) for s in before))
                for tile in FrameRange(0, frames).tiles(segment_frames)
            ],
            segment_frames=segment_frames,
            upstream=plan,
            spec=None,
        )
    return plan


class Recorder:
    """Runs nodes on threads and notes in which order, and how many at once."""

    def __init__(self, failing: Node | None = None) -> None:
        self.pool = ThreadPoolExecutor(16)
        self.failing = failing
        self.finished: list[Node] = []
        self.computing = 0
        self.most_computing = 0
        self.lock = threading.Lock()

    def submit(self, node: Node, reads: Sequence[Future]) -> Future:
        def work() -> Done:
            assert all(isinstance(read, ThreadFuture) and read.done() for read in reads)
            is_computing = node[0] not in ("extract_frames", "encode_video")
            with self.lock:
                self.computing += is_computing
                self.most_computing = max(self.most_computing, self.computing)
            with self.lock:
                self.computing -= is_computing
            if node == self.failing:
                raise RuntimeError("this one fails")
            return NOTHING

        return self.pool.submit(work)


def test_every_segment_runs_once_after_those_that_it_reads() -> None:
    plan, recorder = chained_plan(frames=12, segment_frames=4), Recorder()
    nodes = demand(plan, lambda _, asked: asked).to_compute
    run_in_order(nodes, plan, recorder.submit, lambda node, _: recorder.finished.append(node), 2)
    assert sorted(recorder.finished) == sorted(nodes)
    for index in range(3):
        positions = [recorder.finished.index((stage, index)) for stage in STAGES]
        assert positions == sorted(positions)


def test_no_more_segments_compute_at_once_than_there_are_devices() -> None:
    plan, recorder = chained_plan(frames=40, segment_frames=2), Recorder()
    nodes = demand(plan, lambda _, asked: asked).to_compute
    run_in_order(nodes, plan, recorder.submit, lambda *_: None, 2)
    assert 1 <= recorder.most_computing <= 2


def test_decoding_does_not_run_ahead_without_bound() -> None:
    plan = chained_plan(frames=400, segment_frames=2)
    nodes = demand(plan, lambda _, asked: asked).to_compute
    started: list[Node] = []
    release = threading.Event()
    pool = ThreadPoolExecutor(8)

    def submit(node: Node, reads: Sequence[Future]) -> Future:
        started.append(node)
        return pool.submit(lambda: (release.wait(10) and NOTHING) or NOTHING)

    runner = threading.Thread(target=run_in_order, args=(nodes, plan, submit, lambda *_: None, 1))
    runner.start()
    while len(started) < IO_IN_FLIGHT:
        pass
    assert started == [("extract_frames", 0), ("extract_frames", 1)]
    release.set()
    runner.join()


def test_of_a_long_video_only_the_futures_that_are_waited_for_are_held() -> None:
    plan, recorder = chained_plan(frames=400, segment_frames=2), Recorder()
    nodes = demand(plan, lambda _, asked: asked).to_compute
    held: WeakSet[Future] = WeakSet()
    most_held = 0

    def submit(node: Node, reads: Sequence[Future]) -> Future:
        nonlocal most_held
        held.add(future := recorder.submit(node, reads))
        most_held = max(most_held, len(held))
        return future

    run_in_order(nodes, plan, submit, lambda *_: None, 2)
    assert len(nodes) == 1200
    assert most_held < 2 * LOOK_AHEAD


def test_a_failure_is_raised_after_what_is_in_flight_has_ended_and_nothing_new_starts() -> None:
    plan, recorder = chained_plan(frames=12, segment_frames=4), Recorder(failing=("estimate_flow", 0))
    nodes = demand(plan, lambda _, asked: asked).to_compute
    with pytest.raises(RuntimeError, match="this one fails"):
        run_in_order(nodes, plan, recorder.submit, lambda node, _: recorder.finished.append(node), 1)
    assert ("complete_flow", 0) not in recorder.finished
    assert recorder.computing == 0
