"""What there is to prepare: which clips, under which names, for training or for testing, and which are ready."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from propainter.core.errors import MediaError, OutputError, SettingsError
from propainter.data.dataset import LOCAL_FRAMES, REFERENCE_FRAMES
from propainter.media.dataset import Clip, find_clips, read_clip_names
from propainter.media.source import open_source
from tasks.prepare_clip import ClipJob, Target, is_prepared
from tasks.prepare_layout import DATASET, Split, digest_bytes, read_dataset, read_json

FEWEST_FRAMES = LOCAL_FRAMES + REFERENCE_FRAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """ready: prepared already. due: to be made, in this order; frames: of each of them, by name. left_out, failed:
    reasons by the name that the clip has, or would have."""

    ready: tuple[ClipJob, ...]
    due: tuple[ClipJob, ...]
    frames: Mapping[str, int]
    left_out: Mapping[str, str]
    failed: Mapping[str, str]


def survey_clips(root: Path, target: Target, *, test_share: float) -> Survey:
    """Look at every clip below root, without decoding any.

    Raises:
        MediaError: there are none, or two of one name.
        SettingsError: test_share is not a share.
    """
    if not 0 <= test_share < 1:
        raise SettingsError(f"test_share is {test_share}. Give the share of clips to test with, from 0 to under 1.")
    clips = named_clips(root)
    splits = _given_splits(root, clips) or _drawn_splits(clips, test_share, _known_splits(target.out))
    ready, due = [], []
    frames: dict[str, int] = {}
    left_out: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name, clip in clips.items():
        job = ClipJob(clip=clip, name=name, split=splits[name], target=target)
        try:
            if is_prepared(job):
                ready.append(job)
                continue
            with open_source(clip.path) as video:
                frames[name] = video.info.frames
        except MediaError as error:
            failed[name] = str(error)
        except OSError as error:
            failed[name] = f"{error.filename or clip.path}: {error.strerror or error}."
        else:
            if frames[name] < FEWEST_FRAMES:
                left_out[name] = f"{frames[name]} frames; a training sample takes {FEWEST_FRAMES}."
            else:
                due.append(job)
    return Survey(ready=tuple(ready), due=tuple(due), frames=frames, left_out=left_out, failed=failed)


def named_clips(root: Path) -> dict[str, Clip]:
    """Clips by the name of their folder in a prepared dataset: one level, and no suffix.

    Raises:
        MediaError: there are none, or two of one name.
    """
    clips: dict[str, Clip] = {}
    for clip in find_clips(root):
        name = (clip.name if clip.path.is_dir() else str(Path(clip.name).with_suffix(""))).replace("/", "_")
        if name in clips:
            raise MediaError(f"{clips[name].path} and {clip.path} would both be called {name}. Rename one of them.")
        clips[name] = clip
    return clips


def require_place(root: Path, target: Target) -> None:
    """Refuse a folder for the dataset that is not one, or holds another.

    Raises:
        OutputError: with the way out.
    """
    out, source = target.out.resolve(), root.resolve()
    if out == source or source in out.parents or out in source.parents:
        raise OutputError(f"{out} and {source} lie in one another. Give an output outside of the clips.")
    if not target.out.exists() or (target.out.is_dir() and not any(target.out.iterdir())):
        return
    held = read_dataset(target.out)
    for name, value in target.as_json().items():
        if held.get(name) != value:
            raise OutputError(
                f"{target.out / DATASET} says that {name} is {held.get(name)}, not {value}. "
                "Give the same, or another output."
            )


def _given_splits(root: Path, clips: Mapping[str, Clip]) -> dict[str, Split]:
    """By root's own test.json, if it has one: the clips that it names are for testing."""
    if not (root / "test.json").is_file():
        return {}
    tested = set(read_clip_names(root / "test.json"))
    return {name: "test" if {name, clip.name} & tested else "train" for name, clip in clips.items()}


def _known_splits(out: Path) -> dict[str, Split]:
    listed = read_json(out / DATASET) or {"clips": {}}
    return {name: clip["split"] for name, clip in listed["clips"].items()}


def _drawn_splits(clips: Mapping[str, Clip], test_share: float, known: Mapping[str, Split]) -> dict[str, Split]:
    """By a digest of the name; at least one clip of several is to test with. Once listed, a clip stays on its side."""
    places = {name: int(digest_bytes(name.encode()), 16) / 16**40 for name in clips}
    drawn: dict[str, Split] = {name: "test" if place < test_share else "train" for name, place in places.items()}
    splits = {name: known.get(name, split) for name, split in drawn.items()}
    new = [name for name in clips if name not in known]
    if test_share and new and len(clips) > 1 and "test" not in {*splits.values(), *known.values()}:
        splits[min(new, key=places.__getitem__)] = "test"
    return splits
