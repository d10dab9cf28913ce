"""Which clips an evaluation scores, and where the truth, the masks and the result of each one lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from propainter.core.errors import MediaError
from propainter.media.dataset import VIDEO_SUFFIXES, Clip, find_clips
from propainter.media.folder import IMAGE_SUFFIXES, images_in

RESULT_ENDING, MASK_ENDING = "_inpainted", "_mask"
"""What the names of results and masks may have after the clip's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedClip:
    """One clip by its name. masks None: they are to be drawn, or not used."""

    name: str
    truth: Path
    masks: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """results: by the clips' names. left_out: clips of the truth without a result, or without masks. astray: results
    without a truth."""

    clips: tuple[EvaluatedClip, ...]
    results: Mapping[str, Path]
    left_out: tuple[str, ...]
    astray: tuple[str, ...]


def pair_clips(truth: Path, *, results: Path | None, masks: Path | None) -> Pairs:
    """Bring together what has one name; where truth and results are one clip each, whatever their names.

    Args:
        truth, results: a dataset (`propainter.media.dataset` has the layouts), or one clip.
        masks: a folder of images, an image or a video by each clip's name, with _mask or without; or one clip's.

    Raises:
        MediaError: a place is not there or holds nothing, or no clip has all that was asked for.
    """
    frames = {name: path for name, path in _clips_in(truth, "").items() if not _is_mask_of_another(name, truth)}
    made = None if results is None else _clips_in(results, RESULT_ENDING)
    if masks is not None and not masks.exists():
        raise MediaError(f"There are no masks {masks}. Give a folder that holds each clip's.")
    if made is not None and len(frames) == len(made) == 1:
        made = dict(zip(frames, made.values(), strict=True))
    clips = []
    for name, path in frames.items():
        found = None if masks is None else _masks_of(name, masks, alone=len(frames) == 1)
        if (made is None or name in made) and (masks is None or found is not None):
            clips.append(EvaluatedClip(name=name, truth=path, masks=found))
    if not clips:
        wanted = " and ".join(str(place) for place in (results, masks) if place is not None)
        raise MediaError(f"No clip of {truth} is in {wanted} by its name. Name them alike.")
    taken = {clip.name for clip in clips}
    return Pairs(
        clips=tuple(clips),
        results=made or {},
        left_out=tuple(name for name in frames if name not in taken),
        astray=tuple(name for name in made or () if name not in frames),
    )


def _clips_in(root: Path, ending: str) -> Mapping[str, Path]:
    clips = (Clip(name=root.name, path=root),) if root.is_file() else find_clips(root)
    return {_bare(clip.name).removesuffix(ending): clip.path for clip in clips}


def _bare(name: str) -> str:
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in VIDEO_SUFFIXES else name


def _is_mask_of_another(name: str, truth: Path) -> bool:
    return name.endswith(MASK_ENDING) and (truth / name.removesuffix(MASK_ENDING)).exists()


def _masks_of(name: str, masks: Path, *, alone: bool) -> Path | None:
    """A clip's masks; where it is the only clip they may be `masks` itself."""
    for ending in (MASK_ENDING, ""):
        for suffix in ("", *sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES)):
            place = masks / f"{name}{ending}{suffix}"
            if place.is_file() if suffix else place.is_dir():
                return place
    return masks if alone and (masks.is_file() or images_in(masks)) else None
