"""Whether reading, computing and writing overlap: what the device waits for, with one segment under way and with two.

    python -m benchmarks.bench_overlap [--frames 240] [--rounds 2]

A clip as the demo draws it, 432x240, classical engine on the CPU, segments of 40 frames; the two kinds of run in turn,
each on a cache of its own. Printed from the run's manifest: seconds of all stages over the time from the first segment
to the last, and the share of that time in which the device computed nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from propainter.media.sample import draw_sample, write_sample

IO_STAGES = ("extract_frames", "encode_video")
RUN = """
import sys
import flows.inpaint
from flows.cli import main
flows.inpaint.SEGMENTS_PER_DEVICE = int(sys.argv.pop(1))
main(sys.argv[1:])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    print(f"{'under way':>9}{'stages / time':>15}{'device waited':>15}{'s':>8}", flush=True)
    with tempfile.TemporaryDirectory(prefix="propainter-bench-") as folder:
        video, masks = write_sample(Path(folder), draw_sample(options.frames, 240, 432))
        for index in range(2 * options.rounds):
            under_way = 1 + index % 2
            ratio, waited, worked_s = measure(video, masks, Path(folder) / str(index), under_way)
            print(f"{under_way:9}{ratio:15.2f}{waited:15.2f}{worked_s:8.1f}", flush=True)


def measure(video: Path, masks: Path, folder: Path, under_way: int) -> tuple[float, float, float]:
    """Stages' seconds over the time from the first segment to the last, the share that the device waited, that time."""
    folder.mkdir()
    output = folder / "result.mp4"
    subprocess.run(
        [
            sys.executable, "-c", RUN, str(under_way), "inpaint", str(video), "--mask", str(masks), "-o", str(output),
            "--cache", str(folder / "cache"), "--engine", "classical", "--devices", "cpu", "--subvideo-length", "40",
            "--quiet",
        ],
        cwd=Path(__file__).parents[1], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    manifest = json.loads((folder / "result.mp4.report" / "manifest.json").read_bytes())
    seconds = {stage["stage"]: stage["seconds"] for stage in manifest["stages"]}
    computing_s = sum(spent for stage, spent in seconds.items() if stage not in IO_STAGES)
    worked_s = computing_s / (1 - manifest["waited_share"])
    return sum(seconds.values()) / worked_s, manifest["waited_share"], worked_s


if __name__ == "__main__":
    main()
