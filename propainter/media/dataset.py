"""Which clips a dataset holds, what its frames are called, and whether a clip has changed. Reads no picture."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from propainter.core.errors import MediaError
from propainter.media.folder import IMAGE_SUFFIXES, images_in

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv"}
)
NOT_CLIPS = frozenset({"Annotations", "masks", "test_masks"})
"""Folders beside the frames, in the known layouts and in ours, that hold other images."""

_FRAMES_FOLDER = "JPEGImages"
_DAVIS_SIZES = ("480p", "1080p", "Full-Resolution")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A folder of frames or a video file. name: its path below the dataset, without the layout's own folders."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What files look like without reading them. newest_ns: the last change, since the epoch."""

    text: str
    newest_ns: int


def find_clips(root: Path) -> tuple[Clip, ...]:
    """Every clip below root, by name.

    In a folder with JPEGImages (or JPEGImages_432_240, ...), as YouTube-VOS and DAVIS have it, only that is looked
    into. Elsewhere each folder that holds images is a clip, and so is each video file.

    Raises:
        MediaError: root is not a folder, holds no clip, or holds the same ones in several sizes.
    """
    if not root.is_dir():
        raise MediaError(f"There is no folder {root}. Give one that holds clips.")
    clips = sorted(_clips_below(root, "", set(), in_layout=False), key=lambda clip: clip.name)
    if not clips:
        raise MediaError(f"{root} holds no clips. Give a folder with a folder of frames or a video file for each.")
    return tuple(clips)


def read_clip_names(path: Path) -> tuple[str, ...]:
    """The names in a train.json: a mapping from clip to its number of frames, or a list.

    Raises:
        MediaError: it cannot be read as that.
    """
    try:
        names = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise MediaError(
            f"{path} cannot be read as JSON. Give a list of clips, or a mapping as in train.json."
        ) from None
    if not isinstance(names, dict | list) or not all(isinstance(name, str) for name in names):
        raise MediaError(f"{path} holds no names of clips. Give a list of clips, or a mapping as in train.json.")
    return tuple(names)


def frame_names(clip: Clip, frames: int) -> tuple[str, ...]:
    """What the frames are called, without suffix; those of a video by number: 00000, 00001, ..."""
    if clip.path.is_dir():
        return tuple(path.stem for path in images_in(clip.path))
    return tuple(f"{number:05}" for number in range(frames))


def files_of(clip: Clip) -> list[Path]:
    """The files that a clip's content is in."""
    return images_in(clip.path) if clip.path.is_dir() else [clip.path]


def stamp_of(files: list[Path]) -> Stamp:
    """Name, size, time of change and inode of every file.

    Raises:
        OSError: one of them is gone.
    """
    state, newest_ns = hashlib.blake2b(digest_size=20), 0
    for path in files:
        found = path.stat()
        state.update(os.fsencode(path.name) + f"\0{found.st_size} {found.st_mtime_ns} {found.st_ino}\n".encode())
        newest_ns = max(newest_ns, found.st_mtime_ns)
    return Stamp(text=state.hexdigest(), newest_ns=newest_ns)


def _clips_below(folder: Path, name: str, seen: set[tuple[int, int]], *, in_layout: bool) -> Iterator[Clip]:
    found = folder.stat()
    if (found.st_dev, found.st_ino) in seen:  # a link that leads back up
        return
    seen.add((found.st_dev, found.st_ino))
    frames = _the_only(folder, [path for path in _folders(folder) if path.name.startswith(_FRAMES_FOLDER)])
    if folder.name.startswith(_FRAMES_FOLDER):
        frames = frames or _the_only(folder, [path for path in _folders(folder) if path.name in _DAVIS_SIZES])
        in_layout = True
    if frames is not None:
        yield from _clips_below(frames, name, seen, in_layout=True)
        return
    folders, has_images = _folders(folder), False
    for path in folder.iterdir():
        suffix = path.suffix.lower()
        has_images |= suffix in IMAGE_SUFFIXES and not path.name.startswith(".")
        if suffix in VIDEO_SUFFIXES and path.is_file() and not path.name.startswith("."):
            yield Clip(name=_joined(name, path.name), path=path)
    # In a layout a folder without frames is a clip that lost them, and is reported as one.
    if has_images or (in_layout and name and not folders):
        yield Clip(name=name or folder.name, path=folder)
    for path in folders:
        yield from _clips_below(path, _joined(name, path.name), seen, in_layout=in_layout)


def _folders(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir()
        if not path.name.startswith(".") and path.name not in NOT_CLIPS and path.is_dir()
    )  # fmt: skip


def _the_only(folder: Path, found: list[Path]) -> Path | None:
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise MediaError(f"{folder} holds {names}: the same clips in several sizes. Give one of these folders.")
    return found[0] if found else None


def _joined(name: str, below: str) -> str:
    return f"{name}/{below}" if name else below
