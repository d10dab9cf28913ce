"""Peak memory of the command against the length of the video: it should not grow.

    python -m benchmarks.bench_memory [--engines classical propainter] [--frames 60 240 960]

Clips as the demo draws them: 432x240 for the classical engine; for the learned one 160x128 and two iterations of RAFT,
on the synthetic weights of the golden tests. Each length is a run of `propainter inpaint` in a process of its own, on a
cache of its own and with the CPU as device; what is printed is the largest resident size that the kernel saw of it.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROPAINTER = (sys.executable, "-m", "flows.cli")
ROOT = Path(__file__).parents[1]
SIDES_PX = {"classical": (240, 432), "propainter": (128, 160)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", choices=SIDES_PX, nargs="+", default=list(SIDES_PX))
    parser.add_argument("--frames", type=int, nargs="+", default=[60, 240, 960])
    options = parser.parse_args()
    print(f"{'engine':>10}{'frames':>8}{'peak RSS MiB':>14}{'to the shortest':>17}{'s':>8}", flush=True)
    with tempfile.TemporaryDirectory(prefix="propainter-bench-") as folder:
        environment = os.environ | {"XDG_STATE_HOME": folder}
        try:
            for engine in options.engines:
                shortest_mib = None
                for frames in sorted(options.frames):
                    peak_mib, seconds = peak_of_run(Path(folder) / f"{engine}-{frames}", engine, frames, environment)
                    shortest_mib = shortest_mib or peak_mib
                    ratio = peak_mib / shortest_mib
                    print(f"{engine:>10}{frames:8}{peak_mib:14.0f}{ratio:17.3f}{seconds:8.1f}", flush=True)
        finally:
            stop = [*PROPAINTER, "server", "stop"]
            subprocess.run(stop, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)


def peak_of_run(folder: Path, engine: str, frames: int, environment: dict[str, str]) -> tuple[float, float]:
    """MiB and seconds of one run over a clip of so many frames."""
    weights = folder.parent / "weights"
    command = [
        *PROPAINTER, "inpaint", str(folder / "sample.mp4"), "--mask", str(folder / "masks"),
        "-o", str(folder / "result.mp4"), "--cache", str(folder / "cache"), "--devices", "cpu", "--engine", engine,
        "--quiet", "--keep-server",
    ]  # fmt: skip
    in_another_process(draw, folder, frames, *SIDES_PX[engine])
    if engine == "propainter":
        in_another_process(write_synthetic_weights, weights)
        command += ["--weights", str(weights), "--no-verify-weights", "--raft-iter", "2"]
    start_s = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"propainter inpaint ended with status {process.returncode}.")
    return usage.ru_maxrss / 1024, time.perf_counter() - start_s


def in_another_process(work: Callable[..., None], *arguments: object) -> None:
    """The kernel counts to a new process what the one that started it holds: this one stays small."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()


def draw(folder: Path, frames: int, height_px: int, width_px: int) -> None:
    from propainter.media.sample import draw_sample, write_sample

    write_sample(folder, draw_sample(frames, height_px, width_px))


def write_synthetic_weights(folder: Path) -> None:
    sys.path.insert(0, str(ROOT / "tests" / "golden"))
    from synthetic_weights import write_weights

    write_weights(folder)


if __name__ == "__main__":
    main()
