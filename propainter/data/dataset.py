"""Datasets over clips that somebody else reads: short random samples for training, whole clips for evaluation."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from propainter.core.errors import ShapeError
from propainter.data.clips import Clip, MaskedClip
from propainter.data.sample import Sample, flip, reverse
from propainter.media.hole_shapes import random_holes

LOCAL_FRAMES = 10
REFERENCE_FRAMES = 6


class TrainingSamples(Dataset[Sample]):
    """One sample a clip and epoch: local frames from a random place, references from the rest, fresh holes.

    Everything random is drawn from (seed, epoch, index): the same sample, whichever worker makes it and however many
    there are.

    Raises:
        ShapeError: a clip has fewer frames than a sample.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        *,
        seed: int = 0,
        local_frames: int = LOCAL_FRAMES,
        reference_frames: int = REFERENCE_FRAMES,
    ) -> None:
        for clip in clips:
            if clip.frames < local_frames + reference_frames:
                raise ShapeError(
                    f"{clip.name} has {clip.frames} frames, and a sample takes {local_frames} local and "
                    f"{reference_frames} reference frames. Leave it out, or ask for fewer."
                )
        self._clips = clips
        self._seed = seed
        self._local = local_frames
        self._references = reference_frames
        # Shared memory: workers that live on from epoch to epoch see it change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Before iterating a loader: other windows, holes and turns than in other epochs."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> Sample:
        clip = self._clips[index]
        rng = np.random.default_rng([self._seed, int(self._epoch), index])
        start = int(rng.integers(0, clip.frames - self._local + 1))
        local = range(start, start + self._local)
        rest = [frame for frame in range(clip.frames) if frame not in local]
        references = sorted(rng.choice(rest, self._references, replace=False).tolist())
        frames = clip.read_frames([*local, *references])
        sample = Sample(
            frames=torch.from_numpy(frames),
            holes=torch.from_numpy(np.stack(list(random_holes(rng, *frames.shape[:3])))),
            flow=torch.from_numpy(clip.read_flow(local[:-1])),
        )
        if rng.random() < 0.5:
            sample = reverse(sample)
        if rng.random() < 0.5:
            sample = flip(sample)
        return sample


class WholeClips(Dataset[Sample]):
    """Whole clips with the holes that they come with, one a time; all their frames are local."""

    def __init__(self, clips: Sequence[MaskedClip]) -> None:
        self._clips = clips

    def name(self, index: int) -> str:
        return self._clips[index].name

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> Sample:
        clip = self._clips[index]
        frames = range(clip.frames)
        return Sample(
            frames=torch.from_numpy(clip.read_frames(frames)),
            holes=torch.from_numpy(clip.read_holes(frames)),
            flow=torch.from_numpy(clip.read_flow(frames[:-1])),
        )
