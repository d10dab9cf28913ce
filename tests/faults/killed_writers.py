"""Writers that are killed at random, round after round; run as a program, so that it may fork.

Prints one JSON object: what a reader saw after each round, summed.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cache.journal import committed_counts
from cache.keys import StageKey
from cache.layout import entry_folder, frames_spec
from cache.store import Store
from propainter.core.errors import StoreError

ROUNDS, WRITERS, SEGMENTS = 30, 3, 24
SPEC = frames_spec(4 * SEGMENTS, 48, 64, 3, 4, "default")


def key_of(round_index: int) -> StageKey:
    """Five rounds to an entry; each entry shares every second segment with the one before it."""
    entry = round_index // 5
    return StageKey("refine_frames", tuple(f"{index}-{(entry + index % 2) // 2}" for index in range(SEGMENTS)))


def frames_of(digest: str) -> NDArray[np.uint8]:
    index, version = map(int, digest.split("-"))
    return np.random.default_rng((index, version)).integers(0, 255, (4, 48, 64, 3), dtype=np.uint8)


def write(root: Path, key: StageKey, seed: int) -> None:
    """One run of a writer: everything that is missing, in an order of its own."""
    store = Store(root)
    with store.lease([key]):
        store.create(key, SPEC, {})
        order = store.missing(key)
        random.Random(seed).shuffle(order)
        for index in order:
            store.write(key, index, frames_of(key.segments[index]))
        store.finish(key)


def look(root: Path, key: StageKey) -> dict[str, object]:
    """What is served, and whether it is what belongs there."""
    store = Store(root)
    store.create(key, SPEC, {})
    absent, bad = store.missing(key), 0
    present = sorted(set(range(SEGMENTS)) - set(absent))
    for index in present:
        try:
            bad += not np.array_equal(store.read(key, SPEC.segment(index)), frames_of(key.segments[index]))
        except StoreError:
            bad += 1
    return {"present": present, "bad": bad}


def forked_look(root: Path, key: StageKey) -> dict[str, object]:
    """look, in a child: this process must stay without threads, to be able to fork."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, json.dumps(look(root, key)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer: dict[str, object] = json.loads(pipe.read())
    os.waitpid(child, 0)
    return answer


def start_writer(root: Path, key: StageKey, seed: int) -> int:
    child = os.fork()
    if child == 0:
        try:
            write(root, key, seed)
            os._exit(0)
        finally:
            os._exit(1)
    return child


def wait_for(root: Path, key: StageKey, segments: int) -> None:
    """Until so many are committed: the moment of a kill is set by progress, so that it fits fast disks and slow."""
    folder, give_up = entry_folder(root, key.stage, key.digest), time.monotonic() + 20
    while len(list(folder.glob("c.*"))) < min(segments, SEGMENTS) and time.monotonic() < give_up:
        time.sleep(0.001)


def main(root: Path, seed: int) -> None:
    chance = random.Random(seed)
    sums = {"bad": 0, "lost": 0, "killed": 0, "failed": 0, "seen": 0, "cut_short": 0}
    before: set[int] = set()
    for round_index in range(ROUNDS):
        key = key_of(round_index)
        if round_index % 5 == 0:
            before = set()
        children = [start_writer(root, key, chance.randrange(2**32)) for _ in range(WRITERS)]
        wait_for(root, key, len(before) + chance.randint(0, 4))
        for child in children:
            time.sleep(chance.uniform(0.0, 0.01))
            os.kill(child, signal.SIGKILL)
        for child in children:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            sums["killed"] += code == -signal.SIGKILL
            sums["failed"] += code not in (0, -signal.SIGKILL)
        seen = forked_look(root, key)
        present = set(seen["present"])  # type: ignore[call-overload]
        sums["bad"] += seen["bad"]  # type: ignore[operator]
        sums["seen"] += len(present)
        sums["lost"] += len(before - present)
        sums["cut_short"] += len(present) < SEGMENTS
        before = present
        for stage, digest, index in committed_counts(root):
            sums["lost"] += (stage, digest) == (key.stage, key.digest) and index not in present
    twice = sum(count > 1 for count in committed_counts(root).values())
    last = key_of(ROUNDS - 1)
    finisher = start_writer(root, last, 0)
    sums["failed"] += os.waitpid(finisher, 0)[1] != 0
    end = forked_look(root, last)
    quarantined = len(list((root / ".quarantine").iterdir()))
    sys.stdout.write(json.dumps({**sums, "twice": twice, "end": end, "quarantined": quarantined}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
