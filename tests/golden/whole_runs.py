"""Whole runs of the real command on the golden clips, and how far they are from what the released code made of them.

`python tests/golden/whole_runs.py` prints a line for each (make parity).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from synthetic_weights import write_weights

DATA = Path(__file__).parent / "data"

RUNS = {
    "chunked": ("clip_a", "--mask masks --neighbor_length 6 --ref_stride 4 --subvideo_length 10 --raft_iter 4"),
    "single": ("clip_a", "--mask masks --raft_iter 2"),
    "resized": ("clip_b", "--mask masks --width 194 --height 132 --mask_dilation 2 --raft_iter 2 --no-keep-size"),
    "outpaint": ("clip_b", "--mode outpainting --scale_h 1.0 --scale_w 1.3 --raft_iter 2"),
}
"""Clip and options, by the folder under data/expected/. Flow is stored exactly: 1/64 px would show."""


def run(name: str, folder: Path, weights: Path) -> np.ndarray:
    """Differences in grey levels, (T, H, W, 3)."""
    clip, options = RUNS[name]
    output = folder / name
    subprocess.run(
        [
            sys.executable, "-m", "flows.cli", "inpaint", "frames", "-o", str(output),
            "--engine", "propainter", "--weights", str(weights), "--no-verify-weights",
            "--storage", "exact", "--cache", str(folder / "cache"), "--devices", "cpu", "--quiet", *options.split(),
        ],
        check=True,
        cwd=DATA / clip,
    )  # fmt: skip
    return np.abs(_read(output).astype(int) - _read(DATA / "expected" / name).astype(int))


def _read(folder: Path) -> np.ndarray:
    frames = [cv2.imread(str(path)) for path in sorted(folder.glob("*.png"))]
    assert all(frame is not None for frame in frames)
    return np.stack(frames)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        weights = write_weights(Path(temporary) / "weights")
        for name in RUNS:
            difference = run(name, Path(temporary), weights)
            pixels = difference.max(axis=-1)
            sys.stdout.write(
                f"{name}: {(pixels > 0).sum()} of {pixels.size} pixels differ, by at most {pixels.max()} grey levels\n"
            )
