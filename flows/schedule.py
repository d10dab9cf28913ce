"""Order and fan-out: which segments run when. Knows nothing of what they compute.

A segment is handed out as soon as what it reads is committed, computing ones up to two for each device, reading and
writing ones beside them, so that decoding, encoding and the cache's disk overlap with the work on the devices. The
number in flight is bounded, and so is the number of segments looked at ahead: a long video does not decode itself onto
the disk first.
"""

import queue
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from tasks.plan import Done, Node, Plan, reads_of

IO_STAGES = frozenset({"extract_frames", "encode_video"})
IO_IN_FLIGHT = 2
LOOK_AHEAD = 64
"""Open segments considered at a time: over four segments of 80 frames with all that they read."""


class Future(Protocol):
    """The part of a workflow engine's future that ordering needs."""

    def result(self) -> Done: ...

    def add_done_callback(self, fn: Callable[[Any], None]) -> None: ...


def run_in_order(
    nodes: Sequence[Node],
    plan: Plan,
    submit: Callable[[Node, Sequence[Future]], Future],
    finished: Callable[[Node, Done], None],
    computing_in_flight: int,
) -> None:
    """Run every node after those of `nodes` that it reads; the ones not named are committed already.

    submit starts a node, given the futures of what it reads. finished is told of every node that succeeded, in this
    thread.

    Raises:
        Whatever the first failing node raised, after those in flight have come to their end: what they
        finish is committed and not lost.
    """
    open_nodes = list(nodes)
    named = set(nodes)
    waits = {node: [read for read in reads_of(plan, node) if read in named] for node in nodes}
    futures: dict[Node, Future] = {}
    reads_to_come = Counter(read for reads in waits.values() for read in reads)
    done: set[Node] = set()
    in_flight: set[Node] = set()
    through: queue.SimpleQueue[Node] = queue.SimpleQueue()
    failure: BaseException | None = None
    while (open_nodes and failure is None) or in_flight:
        if failure is None:
            for node in _ready(open_nodes[:LOOK_AHEAD], waits, done, in_flight, computing_in_flight):
                futures[node] = submit(node, [futures[read] for read in waits[node]])
                open_nodes.remove(node)
                in_flight.add(node)
                futures[node].add_done_callback(partial(_put, through, node))
                for read in waits[node]:
                    reads_to_come[read] -= 1
                    if not reads_to_come[read]:
                        del futures[read]  # what a long video's tasks did would add up
        node = through.get()
        in_flight.remove(node)
        try:
            finished(node, (futures[node] if reads_to_come[node] else futures.pop(node)).result())
            done.add(node)
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure


def _put(through: "queue.SimpleQueue[Node]", node: Node, _: object) -> None:
    through.put(node)


def _ready(
    nodes: Sequence[Node],
    waits: Mapping[Node, Sequence[Node]],
    done: Collection[Node],
    in_flight: Collection[Node],
    computing_in_flight: int,
) -> list[Node]:
    room = {
        True: IO_IN_FLIGHT - sum(stage in IO_STAGES for stage, _ in in_flight),
        False: computing_in_flight - sum(stage not in IO_STAGES for stage, _ in in_flight),
    }
    ready: list[Node] = []
    for node in nodes:
        does_io = node[0] in IO_STAGES
        if room[does_io] > 0 and all(read in done for read in waits[node]):
            room[does_io] -= 1
            ready.append(node)
    return ready
