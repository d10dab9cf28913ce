"""Flow on disk and samples in memory: this store against .flo float16 and compressed npz float16.

    OMP_NUM_THREADS=1 python -m benchmarks.bench_reader [--clips DIR ...] [--frames 60]

432x240, DIS flow. `--clips` takes folders of images; without it three clips are drawn. All formats hold the same flow,
and every reader ends with the same array: float32 (pairs, 2, 2, H, W) in pixels; files are read one by one, turned to
float32 and stacked. Formats are timed in turn, window by window, and compared by the median, from the page cache: a
disk that is slow to read favours the smallest further.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cache.keys import StageKey
from cache.layout import ArraySpec, dequantise_flow, flow_spec, frames_spec, quantise_flow
from cache.reader import EntryReader, decode_in_one_thread
from cache.store import Store
from propainter.core.frames import FrameRange
from propainter.core.settings import Storage
from propainter.data.dataset import LOCAL_FRAMES, REFERENCE_FRAMES, TrainingSamples
from propainter.data.sample import Sample
from propainter.media.flo import encode_flo, read_flo
from propainter.media.hole_shapes import random_holes
from propainter.media.resize import resize_frames
from propainter.media.sample import draw_sample
from propainter.media.source import open_source
from propainter.models.classical.dis import dis_flow
from tasks.estimate_flow import SEGMENT_PAIRS
from tasks.plan import open_store
from tasks.prepare_clip import SEGMENT_FRAMES
from tasks.prepare_layout import FLOW_STAGE, FRAMES_STAGE
from tasks.training_data import PreparedClip, load

HEIGHT_PX, WIDTH_PX = 240, 432
WINDOW_PAIRS = LOCAL_FRAMES - 1
READS = 40
SAMPLES, BATCH, EPOCHS = 48, 4, 3
KILLED_WRITERS = Path(__file__).parents[1] / "tests" / "faults" / "killed_writers.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDisk:
    """One clip in every format, below one folder."""

    folder: Path
    name: str
    frames: int
    flow: StageKey
    pictures: StageKey

    def files(self, kind: str) -> list[Path]:
        """Files of the flow in one format; of the store everything but locks and second names of the same file."""
        return [
            path for path in (self.folder / kind / self.name).rglob("*")
            if path.is_file() and not {".segments", ".lease"} & set(path.parts) and path.name != "journal.jsonl"
        ]  # fmt: skip

    def read_flo(self, first: int, pairs: int) -> NDArray[np.float32]:
        folder = self.folder / "flo" / self.name
        return np.stack(
            [
                np.stack([read_flo(folder / f"{pair:05}_{direction}.flo") for direction in range(2)])
                for pair in range(first, first + pairs)
            ]
        )

    def read_npz(self, first: int, pairs: int) -> NDArray[np.float32]:
        files = [self.folder / "npz" / self.name / f"{pair:05}.npz" for pair in range(first, first + pairs)]
        return np.stack([np.load(path)["flow"].astype(np.float32) for path in files])

    def read_store(self, first: int, pairs: int) -> NDArray[np.float32]:
        return dequantise_flow(
            open_store(self.folder / "store" / self.name).read(self.flow, FrameRange(first, first + pairs))
        )

    def prepared(self) -> PreparedClip:
        return PreparedClip(
            name=self.name,
            frames=self.frames,
            pictures=EntryReader(self.folder / "frames", FRAMES_STAGE, self.pictures.digest),
            flow=EntryReader(self.folder / "store" / self.name, FLOW_STAGE, self.flow.digest),
            masks=self.folder,
        )


class Windows(Dataset[Tensor]):
    """Flow windows in one of the formats: read, and a single number of each handed over, as that costs all the same."""

    def __init__(self, clips: Sequence[OnDisk], kind: str) -> None:
        self._readers = [reader_of(clip, kind) for clip in clips]
        self._lengths = [clip.frames for clip in clips]

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> Tensor:
        clip = index % len(self._readers)
        first = index * 7 % (self._lengths[clip] - WINDOW_PAIRS)
        return torch.from_numpy(self._readers[clip](first, WINDOW_PAIRS)[-1, -1, -1, -1, -1:])


class FilesOnly(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Samples as the released training code makes them, from JPEG and .flo: float frames in -1 to 1, channels first."""

    def __init__(self, clips: Sequence[OnDisk]) -> None:
        self._clips = clips

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        clip = self._clips[index % len(self._clips)]
        rng = np.random.default_rng(index)
        start = int(rng.integers(0, clip.frames - LOCAL_FRAMES + 1))
        local = range(start, start + LOCAL_FRAMES)
        rest = [frame for frame in range(clip.frames) if frame not in local]
        numbers = [*local, *sorted(rng.choice(rest, REFERENCE_FRAMES, replace=False).tolist())]
        frames = np.stack([np.asarray(Image.open(jpeg(clip.folder, clip.name, number))) for number in numbers])
        holes = np.stack(list(random_holes(rng, *frames.shape[:3])))
        frames_T3HW = torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1
        return (
            frames_T3HW,
            torch.from_numpy(holes)[:, None].float(),
            torch.from_numpy(clip.read_flo(start, WINDOW_PAIRS)),
        )


class Repeated(Dataset[Sample]):
    """An epoch of SAMPLES, however few clips there are."""

    def __init__(self, samples: TrainingSamples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index % len(self._samples)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, nargs="+", help="folders of images; default: drawn clips")
    parser.add_argument("--frames", type=int, default=60, help="of each clip, at most")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    decode_in_one_thread()
    clips = [read_clip(path, asked.frames) for path in asked.clips or ()] or [
        draw_sample(asked.frames, HEIGHT_PX, WIDTH_PX, seed=seed).frames for seed in range(3)
    ]
    names = ", ".join(path.name for path in asked.clips) if asked.clips else "drawn"
    print(f"Clips: {names}; {', '.join(str(len(clip)) for clip in clips)} frames.")
    storages: tuple[Storage, ...] = ("default", "fast")
    for storage in storages:
        with tempfile.TemporaryDirectory(prefix="propainter-bench-") as folder:
            print(f"\n| storage {storage} | against `.flo` float16 | against npz float16 |\n|---|---:|---:|")
            compare(Path(folder), clips, storage)
    with tempfile.TemporaryDirectory(prefix="propainter-bench-") as folder:
        done = subprocess.run([sys.executable, KILLED_WRITERS, folder, "20"], capture_output=True, check=True)
        print(
            f"\nkill -9 at random, 3 writers, 30 rounds: {json.loads(done.stdout)['bad']} bad or stale segments served"
        )


def compare(folder: Path, clips: Sequence[NDArray[np.uint8]], storage: Storage) -> None:
    spent_s = dict.fromkeys(("flo", "npz", "store"), 0.0)
    made = [write_clip(folder, str(index), clip, storage, spent_s) for index, clip in enumerate(clips)]
    files = {kind: [path for clip in made for path in clip.files(kind)] for kind in spent_s}
    row("bytes", {kind: sum(path.stat().st_size for path in found) for kind, found in files.items()})
    row("files", {kind: len(found) for kind, found in files.items()})
    for label, pairs in (("one pair", 1), ("10-frame window", WINDOW_PAIRS)):
        took_s = read_seconds(made, pairs)
        row(f"{label}, time of the direct reader", {"store": took_s["direct"], **took_s})
        row(f"{label}, time of Store.read", {"store": took_s["stored"], **took_s})
    per_s = {kind: batches_per_s(load(Windows(made, kind), batch_size=BATCH)) for kind in ("flo", "npz", "direct")}
    row("two loader workers, windows read a second", {"store": per_s["direct"], **per_s})
    row("write with fsync, speed", {kind: 1 / spent_s[kind] for kind in spent_s})
    samples = TrainingSamples([clip.prepared() for clip in made])
    frames = BATCH * (LOCAL_FRAMES + REFERENCE_FRAMES)
    ours_per_s = frames * batches_per_s(load(Repeated(samples), batch_size=BATCH))
    theirs_per_s = frames * batches_per_s(load(FilesOnly(made), batch_size=BATCH))
    print(f"| samples, two workers: {ours_per_s:.0f} frames a second | {ours_per_s / theirs_per_s:.3f} | |", flush=True)
    for workers, prefetch in ((0, 2), (1, 2), (2, 1), (2, 2), (2, 4)):
        loader = load(Repeated(samples), batch_size=BATCH, num_workers=workers, prefetch_factor=prefetch)
        print(f"{workers} workers, prefetch_factor {prefetch}: {frames * batches_per_s(loader):.0f} frames a second")


def row(label: str, of: dict[str, float]) -> None:
    print(f"| {label} | {of['store'] / of['flo']:.3f} | {of['store'] / of['npz']:.3f} |", flush=True)


def read_seconds(clips: Sequence[OnDisk], pairs: int) -> dict[str, float]:
    """Median seconds by reader; their turns alternate, so that a noisy moment meets all."""
    kinds = ("flo", "npz", "direct", "stored")
    readers = {kind: [reader_of(clip, kind) for clip in clips] for kind in kinds}
    took_s: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(READS):
        clip = turn % len(clips)
        first = turn * 7 % (clips[clip].frames - pairs)
        for kind in kinds:
            took_s[kind].append(seconds(lambda: readers[kind][clip](first, pairs)))  # noqa: B023 - called at once
    return {kind: statistics.median(spent) for kind, spent in took_s.items()}


def reader_of(clip: OnDisk, kind: str) -> Callable[[int, int], NDArray[np.float32]]:
    if kind == "direct":
        return Direct(clip.prepared())
    return {"flo": clip.read_flo, "npz": clip.read_npz, "stored": clip.read_store}[kind]


@dataclass(frozen=True, slots=True)
class Direct:
    """The direct reader, in the words of the others."""

    clip: PreparedClip

    def __call__(self, first: int, pairs: int) -> NDArray[np.float32]:
        return self.clip.read_flow(range(first, first + pairs))


def batches_per_s(loader: DataLoader[Any]) -> float:
    """The best of some epochs, the first, in which workers start, left out."""
    took_s = [seconds(lambda: [None for _ in loader]) for _ in range(EPOCHS)]
    return SAMPLES // BATCH / min(took_s[1:])


def write_clip(
    folder: Path, name: str, frames: NDArray[np.uint8], storage: Storage, spent_s: dict[str, float]
) -> OnDisk:
    """All formats, every file synced; only flow's writing is timed."""
    flow = dis_flow(frames)
    spec = flow_spec(len(flow), HEIGHT_PX, WIDTH_PX, SEGMENT_PAIRS, storage)
    flow_key = key_of(FLOW_STAGE, name, spec)
    spent_s["flo"] += write_seconds(folder / "flo" / name, lambda place: write_flo(place, flow))
    spent_s["npz"] += write_seconds(folder / "npz" / name, lambda place: write_npz(place, flow))
    spent_s["store"] += write_seconds(
        folder / "store" / name, lambda place: commit(place, flow_key, spec, quantise_flow(flow))
    )
    (folder / "jpg" / name).mkdir(parents=True)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(jpeg(folder, name, number)), frame[..., ::-1])
    decoded = np.stack([np.asarray(Image.open(jpeg(folder, name, number))) for number in range(len(frames))])
    pictures = key_of(
        FRAMES_STAGE, name, spec := frames_spec(len(frames), HEIGHT_PX, WIDTH_PX, 3, SEGMENT_FRAMES, storage)
    )
    commit(folder / "frames", pictures, spec, decoded)
    return OnDisk(folder=folder, name=name, frames=len(frames), flow=flow_key, pictures=pictures)


def write_seconds(place: Path, write: Callable[[Path], object]) -> float:
    """Write, and write twice more elsewhere: the best of three, as memory that is touched first is slow."""
    took_s = []
    for folder in (
        place,
        *(place.parents[1] / f"trial {number}" / place.parent.name / place.name for number in (1, 2)),
    ):
        folder.mkdir(parents=True)
        took_s.append(seconds(lambda: write(folder)))  # noqa: B023 - called at once
    return min(took_s)


def key_of(stage: str, name: str, spec: ArraySpec) -> StageKey:
    return StageKey(stage, tuple(f"{name}-{segment}" for segment in range(spec.segments)))


def commit(root: Path, key: StageKey, spec: ArraySpec, array: NDArray[np.generic]) -> None:
    store = Store(root)
    store.create(key, spec, {})
    for segment in range(spec.segments):
        core = spec.segment(segment)
        store.write(key, segment, array[core.start : core.stop])
    store.finish(key)


def write_flo(folder: Path, flow: NDArray[np.float32]) -> None:
    for number, pair in enumerate(flow):
        for direction in range(2):
            with (folder / f"{number:05}_{direction}.flo").open("wb") as file:
                file.write(encode_flo(pair[direction], "float16"))
                os.fsync(file.fileno())


def write_npz(folder: Path, flow: NDArray[np.float32]) -> None:
    for number, pair in enumerate(flow):
        with (folder / f"{number:05}.npz").open("wb") as file:
            np.savez_compressed(file, flow=pair.astype(np.float16))
            os.fsync(file.fileno())


def jpeg(folder: Path, name: str, number: int) -> Path:
    return folder / "jpg" / name / f"{number:05}.jpg"


def read_clip(path: Path, frames: int) -> NDArray[np.uint8]:
    with open_source(path) as source:
        decoded = source.read(FrameRange(0, min(frames, source.info.frames)))
    return resize_frames(decoded, HEIGHT_PX, WIDTH_PX)


def seconds(work: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


if __name__ == "__main__":
    main()
