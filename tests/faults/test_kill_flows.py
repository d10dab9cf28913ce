"""`propainter flows`, killed at random moments and started again, computes what was not committed and nothing else."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from clips import draw_clip, write_frames

from cache.journal import committed_counts
from cache.maintenance import verify
from flows.dataset_survey import Request, survey_dataset

CLIPS = 40
KILLS = int(os.environ.get("PROPAINTER_TEST_KILLS", "3"))


def command(dataset: Path, cache: Path) -> list[str]:
    return [
        sys.executable, "-m", "flows.cli", "flows", str(dataset), "--cache", str(cache), "--engine", "classical",
        "--devices", "cpu", "--log-format", "json",
    ]  # fmt: skip


def run_and_kill(arguments: list[str], after_events: int, delay_s: float) -> None:
    """Start; SIGKILL after so many lines of progress: the first tells that clips are being read."""
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    events = 0
    for line in process.stderr:
        events += line.startswith("{")
        if events == after_events:
            time.sleep(delay_s)
            process.send_signal(signal.SIGKILL)
            break
    process.stderr.close()
    assert process.wait() == -signal.SIGKILL, "the run ended before it was killed: give it more clips"


def missing_segments(dataset: Path, cache: Path) -> int:
    request = Request(root=dataset, cache=cache, settings={"engine": "classical"}, devices="cpu")
    return sum(len(work.missing) for work in survey_dataset(request, lambda note: None).work)


@pytest.mark.slow
def test_a_dataset_run_killed_at_random_moments_computes_each_clip_once(
    tmp_path: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    dataset, cache = tmp_path / "data", tmp_path / "cache"
    dataset.mkdir()
    frames, _ = draw_clip(4 + CLIPS)
    for number in range(CLIPS):
        write_frames(dataset / f"clip{number:02}", frames[number : number + 4])
    moments = random.Random(0)
    for kill in range(KILLS):
        after_events = 1 if kill == 0 else moments.randint(2, 2 + CLIPS // (KILLS + 1))
        run_and_kill(command(dataset, cache), after_events, moments.uniform(0, 0.05))
        assert verify(cache, quick=False).faults == ()
    expected = missing_segments(dataset, cache)
    assert 0 < expected < CLIPS

    ended = subprocess.run(command(dataset, cache), check=True, capture_output=True, text=True)
    summary: dict[str, Any] = json.loads(ended.stdout)
    assert summary["segments_computed"] == expected
    assert (summary["clips"], summary["failed"]) == (CLIPS, {})
    assert max(committed_counts(cache).values()) == 1
    assert verify(cache, quick=False).faults == ()
    assert missing_segments(dataset, cache) == 0
