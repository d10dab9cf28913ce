"""Scene cuts found in clips that have none, and at the places where two of them are joined.

    python -m benchmarks.bench_cuts --clips CLIP CLIP ... [--frames 40]

Prints per clip the cuts found and what looking costs a frame of processor time, decoding included; then per join of
the last frames of a clip's first half with the first frames of every other, where it is and where a cut was found.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.media.cuts import CutFinder
from propainter.media.source import open_source


@dataclass(frozen=True, slots=True)
class Joined:
    """Pictures in the place of a video, as far as a CutFinder asks."""

    pictures: NDArray[np.uint8]

    @property
    def info(self) -> Any:
        return SimpleNamespace(frames=len(self.pictures))

    def native(self, frames: FrameRange) -> Iterator[av.VideoFrame]:
        for frame in frames:
            yield av.VideoFrame.from_ndarray(self.pictures[frame], "rgb24")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, nargs="+", required=True, help="videos or folders, without cuts")
    parser.add_argument("--frames", type=int, default=40, help="on either side of a join")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    halves = {}
    for path in options.clips:
        with open_source(path) as source:
            frames = source.info.frames
            started_s = time.process_time()
            found = CutFinder(source).find(FrameRange(0, frames - 1))
            each_ms = 1000 * (time.process_time() - started_s) / frames
            print(f"{path.name}: {frames - 1} pairs, cuts {found}, {each_ms:.1f} ms a frame", flush=True)
            middle = frames // 2
            halves[path.name] = (
                small(source.read(FrameRange(max(0, middle - options.frames), middle))),
                small(source.read(FrameRange(0, min(options.frames, frames)))),
            )
    for one, other in permutations(halves, 2):
        before, after = halves[one][0], halves[other][1]
        both: Any = Joined(np.concatenate([before, after]))
        found = CutFinder(both).find(FrameRange(0, len(both.pictures) - 1))
        print(f"{one} + {other}: joined at {len(before)}, found {found}", flush=True)


def small(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """At one size, so that they can be joined."""
    return np.stack([cv2.resize(frame, (432, 240), interpolation=cv2.INTER_AREA) for frame in frames])


if __name__ == "__main__":
    main()
