"""SIGKILL at random moments, three writers at a time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_thirty_rounds_of_killed_writers_serve_nothing_bad_and_lose_nothing(tmp_path: Path) -> None:
    program = Path(__file__).with_name("killed_writers.py")
    done = subprocess.run(
        [sys.executable, program, tmp_path / "cache", "20"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    sums = json.loads(done.stdout)
    assert (sums["bad"], sums["lost"], sums["twice"], sums["quarantined"], sums["failed"]) == (0, 0, 0, 0, 0)
    assert sums["end"]["present"] == list(range(24))
    # Else the rounds were too long or too short to show anything.
    assert min(sums["killed"], sums["cut_short"], sums["seen"]) >= 5
