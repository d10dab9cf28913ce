"""What a run of precompute_flow has to do, decided before any work: which clips lack flow, and which are broken."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from cache.digests import ClipRecord, DatasetIndex
from flows.configuration import cache_folder, load_settings
from propainter.core.errors import MediaError, SettingsError, ShapeError
from propainter.core.settings import Settings
from propainter.media.dataset import Clip, files_of, find_clips, frame_names, read_clip_names
from propainter.media.flo import FloType
from tasks.devices import resolve_devices
from tasks.flo_folders import Export, export_is_due, flo_files, plan_import, read_flo_folder
from tasks.look_at_clips import look_at_clips, read_frames_of
from tasks.plan import open_store
from tasks.precompute_flow import ClipFlow, plan_clip
from tasks.weights import Weights, are_installed, find_weights, weights_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for; the flow's parameters, whose meaning stands there."""

    root: Path
    only: Path | None = None
    cache: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    devices: str = "auto"
    num_workers: int | None = None
    weights: Path | None = None
    verify_weights: bool = True
    rehash: bool = False
    cache_size_bytes: int | None = None
    export_flo: Path | None = None
    flo_dtype: FloType = "float16"
    import_flo: Path | None = None

    def __post_init__(self) -> None:
        if self.num_workers is not None and not 1 <= self.num_workers <= 64:
            raise SettingsError(f"num_workers is {self.num_workers}. Give 1 to 64 clips under way at a time.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipWork:
    """One sound clip. missing: its segments that are not in the cache; export: None where no files are due."""

    record: ClipRecord
    flow: ClipFlow
    missing: tuple[int, ...]
    frame_names: tuple[str, ...]
    export: Export | None
    plan_with: Callable[[Settings], ClipFlow]

    @property
    def name(self) -> str:
        return self.flow.clip.name

    def pairs(self, segments: tuple[int, ...]) -> int:
        return sum(len(self.flow.plan.segments[index].tile.core) for index in segments)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSurvey:
    """A dataset, looked at once.

    index: of the folder that the flow comes from. failed: reasons by clip. new, changed, removed: since the last run.
    """

    request: Request
    cache: Path
    devices: tuple[str, ...]
    weights: Weights | None
    index: DatasetIndex
    work: tuple[ClipWork, ...]
    failed: Mapping[str, str]
    new: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def has_work(self) -> bool:
        return any(work.missing or work.export for work in self.work)


_surveyed: ContextVar[DatasetSurvey | None] = ContextVar("surveyed", default=None)


@contextmanager
def already_surveyed(survey: DatasetSurvey) -> Iterator[None]:
    """Within this block, `survey_dataset` answers with this: looked at before a server was started for it."""
    token = _surveyed.set(survey)
    try:
        yield
    finally:
        _surveyed.reset(token)


def survey_dataset(request: Request, note: Callable[[str], None]) -> DatasetSurvey:
    """Find the clips, read those that are new or changed, and ask the cache what it has of their flow.

    Args:
        note: told what the user should know meanwhile.

    Raises:
        ProPainterError: the dataset as a whole cannot be worked on; what is wrong with a clip is in the survey.
    """
    known = _surveyed.get()
    if known is not None:
        return known
    cache, root = cache_folder(request.cache), request.root.absolute()
    settings = _whole_clips(load_settings(request.settings))
    present = find_clips(root)
    clips, failed = _asked(present, request)
    weights = None
    if request.import_flo is None:
        settings, weights = _engine(settings, request, note)
    open_store(cache)
    index = DatasetIndex(cache, root)
    look = partial(
        look_at_clips, present={clip.name for clip in present}, rehash=request.rehash,
        reading=lambda clips: note(f"Reading {clips} clips that are new, or may have changed since the last run."),
    )  # fmt: skip
    looked = look(index, clips, read=read_frames_of, files=files_of)
    origins, origin_index, origin = clips, index, looked  # of the flow: the clips themselves, or files
    if request.import_flo is not None:
        folder = request.import_flo.absolute()
        origins = tuple(Clip(name=clip.name, path=folder / clip.name) for clip in clips)
        origin_index = DatasetIndex(cache, folder)
        origin = look(origin_index, origins, read=read_flo_folder, files=flo_files)

    work = []
    for clip, source in zip(clips, origins, strict=True):
        try:
            seen, record = _sound(looked.records[clip.name]), _sound(origin.records[clip.name])
            stamp = origin.stamps[clip.name]
            if request.import_flo is None:
                plan_with = partial(plan_clip, clip, record, stamp, weights)
            else:
                plan_with = partial(plan_import, source, record, stamp, seen.frames)
            names = frame_names(clip, seen.frames) if request.import_flo or request.export_flo else ()
            work.append(plan_work(record, names, plan_with, request, settings))
        except (MediaError, ShapeError) as error:
            failed[clip.name] = str(error)
    return DatasetSurvey(
        request=request, cache=cache, devices=resolve_devices(request.devices), weights=weights, index=origin_index,
        work=tuple(work), failed=failed, new=looked.new, changed=looked.changed, removed=looked.removed,
    )  # fmt: skip


def plan_work(
    record: ClipRecord, names: tuple[str, ...], plan_with: Callable[[Settings], ClipFlow], request: Request,
    settings: Settings,
) -> ClipWork:  # fmt: skip
    """What one sound clip lacks in the cache and among the exported files.

    Raises:
        MediaError, ShapeError: what is wrong with the clip after all.
    """
    cache = cache_folder(request.cache)
    flow = plan_with(replace(settings, storage="exact") if record.exact else settings)
    store, key = open_store(cache), flow.plan.key
    with store.lease([key]):  # also says that the entry is in use still, to whoever collects what is not
        missing = tuple(store.missing(key))
        if not missing and not store.is_finished(key):
            store.finish(key)
    export = None
    if request.export_flo is not None:
        export = Export(
            flow=flow, frame_names=names, folder=request.export_flo.absolute() / flow.clip.name,
            dtype=request.flo_dtype, cache=cache,
        )  # fmt: skip
        export = export if export_is_due(export) else None
    return ClipWork(
        record=record, flow=flow, missing=missing, frame_names=names, export=export, plan_with=plan_with
    )  # fmt: skip


def _sound(record: ClipRecord) -> ClipRecord:
    if record.fault:
        raise MediaError(record.fault)
    return record


def _whole_clips(settings: Settings) -> Settings:
    if (settings.extract_frames.start, settings.extract_frames.end) != (0, None) or settings.mode != "inpainting":
        raise SettingsError(
            "start, end and mode have no meaning for a dataset: flow is of whole clips. Leave them out."
        )
    return settings


def _asked(present: tuple[Clip, ...], request: Request) -> tuple[tuple[Clip, ...], dict[str, str]]:
    """The clips that the list names, and why those of its names that stand for none fail."""
    if request.only is None:
        return present, {}
    by_name = {Path(clip.name).with_suffix("").as_posix(): clip for clip in present if not clip.path.is_dir()}
    by_name |= {clip.name: clip for clip in present}
    names = read_clip_names(request.only)
    lost = {
        name: f"{request.only.name} names it, and {request.root} does not hold it." for name in names
        if name not in by_name
    }  # fmt: skip
    return tuple(dict.fromkeys(by_name[name] for name in names if name in by_name)), lost


def _engine(settings: Settings, request: Request, note: Callable[[str], None]) -> tuple[Settings, Weights | None]:
    folder = weights_folder(request.weights)
    if settings.engine == "auto" and not are_installed(folder):
        note(f"Engine classical: there are no ProPainter weights in {folder}; `propainter weights fetch` gets them.")
        settings = replace(settings, engine="classical")
    if settings.engine == "classical":
        return settings, None
    return replace(settings, engine="propainter"), find_weights(folder, verify=request.verify_weights)
