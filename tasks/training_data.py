"""For a trainer's script: a prepared dataset, opened, and loaders whose workers read it the short way.

Puts `cache.reader` and `propainter.data` together, which do not know each other. Needs no server and no Prefect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from cache.layout import dequantise_flow
from cache.reader import EntryReader, decode_in_one_thread
from propainter.data.dataset import LOCAL_FRAMES, REFERENCE_FRAMES, TrainingSamples, WholeClips
from propainter.media.folder import open_image
from propainter.media.masks import grey_of
from tasks.prepare_layout import FLOW_STAGE, FRAMES_STAGE, Split, masks_folder, read_dataset, store_root

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedClip:
    """A clip of a prepared dataset: frames and flow from the store, holes from the clip's masks."""

    name: str
    frames: int
    pictures: EntryReader
    flow: EntryReader
    masks: Path

    def read_frames(self, frames: Sequence[int]) -> NDArray[np.uint8]:
        return self.pictures.read(frames)

    def read_flow(self, pairs: Sequence[int]) -> NDArray[np.float32]:
        return dequantise_flow(self.flow.read(pairs))

    def read_holes(self, frames: Sequence[int]) -> NDArray[np.bool_]:
        return np.stack([grey_of(open_image(self.masks / f"{frame:05}.png")) > 0 for frame in frames])


def training_samples(
    dataset: Path,
    *,
    seed: int = 0,
    local_frames: int = LOCAL_FRAMES,
    reference_frames: int = REFERENCE_FRAMES,
) -> TrainingSamples:
    """The training split of what `propainter prepare` made.

    Raises:
        OutputError: there is no prepared dataset.
        MissingSegmentError: a clip's entry is not in the store. Run `propainter prepare` again.
    """
    return TrainingSamples(
        _clips(dataset, "train"), seed=seed, local_frames=local_frames, reference_frames=reference_frames
    )


def evaluation_clips(dataset: Path) -> WholeClips:
    """The test split, clip by clip, with its test masks. Raises as training_samples."""
    return WholeClips(_clips(dataset, "test"))


def load(
    samples: Dataset[Item],
    *,
    batch_size: int,
    shuffle: bool = True,
    num_workers: int = 2,
    pin_memory: bool = True,
    prefetch_factor: int = 2,
) -> DataLoader[Item]:
    """Batches, all of one size. The defaults are those that benchmarks/bench_reader.py found best on two cores.

    Workers are spawned, and live from epoch to epoch. pin_memory matters where there is a GPU only.
    """
    return DataLoader(
        samples,
        batch_size=batch_size,
        shuffle=shuffle,
        drop_last=True,
        num_workers=num_workers,
        pin_memory=pin_memory and torch.cuda.is_available(),
        prefetch_factor=prefetch_factor if num_workers else None,
        persistent_workers=num_workers > 0,
        multiprocessing_context="spawn" if num_workers else None,
        worker_init_fn=_in_worker,
    )


def _clips(dataset: Path, split: Split) -> list[PreparedClip]:
    listed = read_dataset(dataset)
    root = store_root(dataset, listed)
    return [
        PreparedClip(
            name=name,
            frames=clip["frames"],
            pictures=EntryReader(root, FRAMES_STAGE, clip[FRAMES_STAGE]),
            flow=EntryReader(root, FLOW_STAGE, clip[FLOW_STAGE]),
            masks=dataset / masks_folder(split) / name,
        )
        for name, clip in listed["clips"].items()
        if clip["split"] == split
    ]


def _in_worker(worker: int) -> None:
    """Each worker has its own core: threads of its own would only take the others'."""
    decode_in_one_thread()
    cv2.setNumThreads(0)
