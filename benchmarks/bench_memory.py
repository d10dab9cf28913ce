"""Peak memory of the command against the length of the video: it should not grow.

    python -m benchmarks.bench_memory [--frames 60 240 600]

Clips as the demo draws them, 432x240. Each length is a run of `propainter inpaint` in a process of its own, on a cache
of its own and with the CPU as device; what is printed is the largest resident size that the kernel saw of it.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROPAINTER = (sys.executable, "-m", "flows.cli")
ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[60, 240, 600])
    lengths = sorted(parser.parse_args().frames)
    print(f"{'frames':>7}{'peak RSS MiB':>14}{'to the smallest':>17}{'s':>8}", flush=True)
    smallest_mib = None
    with tempfile.TemporaryDirectory(prefix="propainter-bench-") as folder:
        environment = os.environ | {"XDG_STATE_HOME": folder}
        try:
            for frames in lengths:
                peak_mib, seconds = peak_of_run(Path(folder) / str(frames), frames, environment)
                smallest_mib = smallest_mib or peak_mib
                print(f"{frames:7}{peak_mib:14.0f}{peak_mib / smallest_mib:17.3f}{seconds:8.1f}", flush=True)
        finally:
            stop = [*PROPAINTER, "server", "stop"]
            subprocess.run(stop, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)


def peak_of_run(folder: Path, frames: int, environment: dict[str, str]) -> tuple[float, float]:
    """MiB and seconds of one run over a clip of so many frames."""
    # The kernel counts to a new process what the one that started it holds: this one stays small.
    drawing = multiprocessing.get_context("spawn").Process(target=draw, args=(folder, frames))
    drawing.start()
    drawing.join()
    command = [
        *PROPAINTER, "inpaint", str(folder / "sample.mp4"), "--mask", str(folder / "masks"),
        "-o", str(folder / "result.mp4"), "--cache", str(folder / "cache"), "--devices", "cpu",
        "--quiet", "--keep-server",
    ]  # fmt: skip
    start_s = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"propainter inpaint ended with status {process.returncode}.")
    return usage.ru_maxrss / 1024, time.perf_counter() - start_s


def draw(folder: Path, frames: int) -> None:
    from propainter.media.sample import draw_sample, write_sample

    write_sample(folder, draw_sample(frames))


if __name__ == "__main__":
    main()
