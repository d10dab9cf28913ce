"""What `propainter flows` costs over a dataset: killed runs, the first night, one without news, one with a little.

    python -m benchmarks.bench_dataset [--clips 1000] [--kills 10]

Clips of 12 frames at 64x48, drawn here, engine classical: the flow itself is next to nothing, so this is what a clip
costs beside it. Each run is a process of its own, timed from its start to its end, against a workflow server that runs
already. Before that, on a cache of their own, runs are killed with SIGKILL at random moments and started again.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cache.journal import committed_counts
from cache.maintenance import verify
from flows.dataset_survey import Request, survey_dataset

PROPAINTER = (sys.executable, "-m", "flows.cli")
ROOT = Path(__file__).parents[1]
FRAMES, HEIGHT_PX, WIDTH_PX = 12, 48, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="propainter-bench-") as name:
        folder = Path(name)
        environment = os.environ | {"XDG_STATE_HOME": name, "PROPAINTER_DEVICE_LOCKS": f"{name}/locks"}
        draw_dataset(folder / "data", asked.clips)
        subprocess.run([*PROPAINTER, "server", "start"], cwd=ROOT, env=environment, check=True, capture_output=True)
        try:
            measure_kills(folder, environment, asked.kills)
            measure_nights(folder, environment)
        finally:
            stop = [*PROPAINTER, "server", "stop"]
            subprocess.run(stop, cwd=ROOT, env=environment, check=True, capture_output=True)


def measure_nights(folder: Path, environment: dict[str, str]) -> None:
    print("| run | s | clips | computed | in the cache already | failed | new, changed, removed |")
    print("|---|---:|---:|---:|---:|---:|---|")
    tell_night("first", *run(folder, folder / "cache", environment))
    tell_night("second, nothing changed", *run(folder, folder / "cache", environment))
    change(folder / "data", 10)
    spoil(folder / "data")
    tell_night("third, 10 clips changed and 5 broken", *run(folder, folder / "cache", environment))
    tell_night("fourth, nothing changed", *run(folder, folder / "cache", environment))


def tell_night(name: str, seconds: float, summary: dict[str, Any]) -> None:
    news = ", ".join(str(summary[kind]) for kind in ("new", "changed", "removed"))
    counts = " | ".join(str(summary[kind]) for kind in ("clips", "computed", "reused"))
    print(f"| {name} | {seconds:.1f} | {counts} | {len(summary['failed'])} | {news} |", flush=True)


def measure_kills(folder: Path, environment: dict[str, str], kills: int) -> None:
    """Kill and restart; the last run must compute what is missing and nothing else."""
    cache, moments = folder / "cache-of-the-killed", random.Random(0)
    clips = len(survey(folder, cache).work)
    for kill in range(kills):
        # The first line of progress tells that clips are being read.
        after = 1 if kill == 0 else moments.randint(2, max(2, clips // (kills + 2)))
        if not killed(folder, cache, environment, after, moments.uniform(0, 0.1)):
            sys.exit("A run ended before it was killed. Give more --clips.")
    missing = sum(len(work.missing) for work in survey(folder, cache).work)
    _, summary = run(folder, cache, environment)
    twice = sum(count > 1 for count in committed_counts(cache).values())
    faults = len(verify(cache, quick=False).faults)
    print(
        f"{kills} kills: {clips - missing} of {clips} clips were committed, the last run found {missing} missing and "
        f"computed {summary['segments_computed']}; {twice} segments were committed twice, {faults} are broken.\n"
    )
    if summary["segments_computed"] != missing or twice or faults:
        sys.exit(1)


def survey(folder: Path, cache: Path) -> Any:
    request = Request(root=folder / "data", cache=cache, settings={"engine": "classical"}, devices="cpu")
    return survey_dataset(request, lambda note: None)


def command(folder: Path, cache: Path) -> list[str]:
    return [
        *PROPAINTER, "flows", str(folder / "data"), "--cache", str(cache), "--engine", "classical",
        "--devices", "cpu", "--log-format", "json", "--keep-server",
    ]  # fmt: skip


def run(folder: Path, cache: Path, environment: dict[str, str]) -> tuple[float, dict[str, Any]]:
    """Seconds, and the summary."""
    started = time.perf_counter()
    done = subprocess.run(command(folder, cache), cwd=ROOT, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode not in (0, 3):
        sys.exit(done.stderr)
    summary: dict[str, Any] = json.loads(done.stdout)
    return seconds, summary


def killed(folder: Path, cache: Path, environment: dict[str, str], after_events: int, delay_s: float) -> bool:
    process = subprocess.Popen(
        command(folder, cache), cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    events = 0
    for line in process.stderr:
        events += line.startswith("{")
        if events == after_events:
            time.sleep(delay_s)
            process.send_signal(signal.SIGKILL)
            break
    process.stderr.close()
    return process.wait() == -signal.SIGKILL


def draw_dataset(root: Path, clips: int) -> None:
    for number in range(clips):
        draw_clip(root / "JPEGImages" / f"{number:05}", number)


def draw_clip(folder: Path, seed: int) -> None:
    """Noise that pans by two pixels a frame."""
    noise = np.random.default_rng(seed).integers(0, 256, (HEIGHT_PX, WIDTH_PX + 2 * FRAMES, 3), dtype=np.uint8)
    scene = cv2.GaussianBlur(noise, (0, 0), 2.0)
    folder.mkdir(parents=True)
    for number in range(FRAMES):
        path = folder / f"{number:05}.jpg"
        cv2.imwrite(str(path), scene[:, 2 * number : 2 * number + WIDTH_PX])
        os.utime(path, (10**9, 10**9))  # what changed just now is not remembered


def change(root: Path, clips: int) -> None:
    for number in range(clips):
        folder = root / "JPEGImages" / f"{number:05}"
        shutil.rmtree(folder)
        draw_clip(folder, 10**6 + number)


def spoil(root: Path) -> None:
    """Five clips broken in five ways."""
    cut, one, other, empty, text = (root / "JPEGImages" / f"{number:05}" for number in range(10, 15))
    frame = cut / "00005.jpg"
    frame.write_bytes(frame.read_bytes()[:-200])
    for path in list(one.iterdir())[1:] + list(empty.iterdir()):
        path.unlink()
    cv2.imwrite(str(other / "00005.jpg"), np.zeros((32, 32, 3), np.uint8))
    (text / "00005.jpg").write_text("no picture")
    for path in (frame, other / "00005.jpg", text / "00005.jpg"):
        os.utime(path, (10**9 + 1, 10**9 + 1))


if __name__ == "__main__":
    main()
