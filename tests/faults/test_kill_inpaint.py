"""The command, killed at random moments over all stages and started again, gives what an undisturbed run gives."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from clips import draw_clip, write_masks, write_video

from cache.journal import committed_counts
from tasks.plan import STAGES

FRAMES = 400
KILLS = 12


def command(folder: Path, output: Path, cache: Path) -> list[str]:
    return [
        sys.executable, "-m", "flows.cli", "inpaint", str(folder / "clip.mkv"), "--mask", str(folder / "masks"),
        "-o", str(output), "--cache", str(cache), "--devices", "cpu", "--subvideo_length", "24", "--log-format", "json",
    ]  # fmt: skip


def run_and_kill(arguments: list[str], after_segments: int, delay_s: float) -> list[str] | None:
    """Start; SIGKILL once so many segments were committed. The stages seen; None where it ended well before."""
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    seen: list[str] = []
    for line in process.stderr:
        if line.startswith("{") and json.loads(line)["event"] == "computed":
            seen.append(json.loads(line)["stage"])
            if len(seen) == after_segments:
                time.sleep(delay_s)
                process.send_signal(signal.SIGKILL)
                break
    process.stderr.close()
    return seen if process.wait() == -signal.SIGKILL else None


def processes_naming(text: str) -> list[str]:
    """Command lines of processes that mention text; every process of a run carries its cache folder in its own."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if process.pid != os.getpid() and any(text in part for part in process.info["cmdline"] or []):
            found.append(" ".join(process.info["cmdline"]))
    return found


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("prefect_server")
def test_a_run_killed_at_twelve_moments_ends_as_if_it_had_never_been(
    tmp_path: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    frames, holes = draw_clip(FRAMES)
    write_video(tmp_path / "clip.mkv", frames)
    write_masks(tmp_path / "masks", holes)
    undisturbed = tmp_path / "undisturbed.mp4"
    subprocess.run(command(tmp_path, undisturbed, tmp_path / "cache-undisturbed"), check=True, capture_output=True)

    output, cache = tmp_path / "out.mp4", tmp_path / "cache"
    moments = random.Random(0)
    stages: set[str] = set()
    for _ in range(KILLS):
        seen = run_and_kill(command(tmp_path, output, cache), moments.randint(3, 7), moments.uniform(0, 0.1))
        assert seen is not None, "the run ended before it was killed: give it more frames"
        stages.update(seen)
        assert not output.exists()
    subprocess.run(command(tmp_path, output, cache), check=True, capture_output=True)

    assert output.read_bytes() == undisturbed.read_bytes()
    assert max(committed_counts(cache).values()) == 1
    # Fewer where a kill fell between a commit and its line in the journal.
    assert committed_counts(cache).keys() <= committed_counts(tmp_path / "cache-undisturbed").keys()
    assert stages == set(STAGES)
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
    assert processes_naming(str(cache)) == []


@pytest.mark.slow
def test_a_killed_run_leaves_no_server_and_no_process_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    frames, holes = draw_clip(FRAMES)
    write_video(tmp_path / "clip.mkv", frames)
    write_masks(tmp_path / "masks", holes)
    cache = tmp_path / "cache"
    assert run_and_kill(command(tmp_path, tmp_path / "out.mp4", cache), 1, 0.0) is not None
    deadline = time.monotonic() + 60
    assert processes_naming(str(tmp_path)) != [], "the server was to be seen at first"
    while processes_naming(str(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert processes_naming(str(tmp_path)) == []
