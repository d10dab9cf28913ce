"""Look at a video and its mask once: sizes, frame times, digests, and which frames have a hole."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from propainter.core.errors import MaskError, MediaError, SettingsError
from propainter.core.frames import FrameRange
from propainter.core.geometry import Crop, Geometry, Pan
from propainter.core.settings import Settings, seconds_of
from propainter.media.masks import open_masks
from propainter.media.source import VideoInfo, open_source
from tasks.output import Output
from tasks.plan import Inputs
from tasks.scan_masks import Scan, scan, scan_region

_inspected: ContextVar[tuple[Inputs, Output] | None] = ContextVar("inspected", default=None)


@contextmanager
def already_inspected(inputs: Inputs, output: Output) -> Iterator[None]:
    """Within this block, `check_and_inspect` answers with these: looked at while a server started."""
    token = _inspected.set((inputs, output))
    try:
        yield
    finally:
        _inspected.reset(token)


def check_and_inspect(
    video: Path,
    mask: Path | None,
    output: Path,
    settings: Settings,
    *,
    overwrite: bool,
    is_ours: Callable[[Output], bool],
) -> tuple[Inputs, Output]:
    """Refuse, before any work, an output that may not be written; then look at the inputs.

    Args:
        is_ours: whether an output that is there already is what an earlier run wrote, unchanged.

    Raises:
        OutputError, MediaError, MaskError, ShapeError: with one line that the user can act on.
    """
    known = _inspected.get()
    if known is not None:
        return known
    place = Output(path=output.absolute())
    place.check(video, overwrite=overwrite, is_ours=lambda: is_ours(place))
    return inspect_inputs(video.absolute(), None if mask is None else mask.absolute(), settings), place


def require_mask(mask: Path | None, settings: Settings) -> None:
    """Inpainting takes a mask and outpainting takes none.

    Raises:
        MaskError: it is the other way round.
    """
    if settings.mode == "inpainting" and mask is None:
        raise MaskError("--mask is missing. Give an image, a folder of images or a video, or --mode outpainting.")
    if settings.mode == "outpainting" and mask is not None:
        raise MaskError(f"{mask} is given, and --mode outpainting has no use for a mask. Leave out one of the two.")


def inspect_inputs(video: Path, mask: Path | None, settings: Settings) -> Inputs:
    """Open both, check that they go together and measure what the plan needs.

    Args:
        mask: None in outpainting.

    Raises:
        MediaError, MaskError, ShapeError: with one line that the user can act on.
    """
    require_mask(mask, settings)
    extract = settings.extract_frames
    with open_source(video, save_fps=extract.save_fps) as source:
        info, content_digest = source.info, source.content_digest
        frames = asked_frames(info, extract.start, extract.end)
        # A file that was cut off breaks here, not after hours.
        source.read(FrameRange(frames.stop - 1, frames.stop))
    geometry = geometry_of(info.height_px, info.width_px, settings)
    masks = open_masks(mask, info, settings.masks)
    if settings.roi == "auto" and settings.mode == "inpainting":
        geometry, found = scan_region(masks, frames, geometry, keep_size=settings.encode_video.keep_size)
    else:
        found = scan(masks, frames, geometry)
    notices = [*masks.notices, *_said_of(geometry)]
    if not any(found.holed):
        notices.append(f"The mask {mask} marks nothing: the result is a copy of the video.")
    return Inputs(
        video=video, mask=mask, info=info, content_digest=content_digest, frames=frames, geometry=geometry,
        hole_digests=found.digests, holed=found.holed, notices=tuple(notices),
        hole_share=_share(found, geometry),
    )  # fmt: skip


def follow_shots(inputs: Inputs, settings: Settings) -> Inputs:
    """The same with the region chosen anew, now that cuts are known: from shot to shot it may jump.

    Raises:
        MaskError: a mask cannot be read any more.
    """
    if inputs.mask is None or settings.roi == "off":
        return inputs
    masks = open_masks(inputs.mask, inputs.info, settings.masks)
    if masks.frames is None:
        return inputs
    geometry, found = scan_region(
        masks,
        inputs.frames,
        geometry_of(inputs.info.height_px, inputs.info.width_px, settings),
        keep_size=settings.encode_video.keep_size,
        shots=[inputs.in_source(shot) for shot in inputs.shots],
    )
    other = tuple(notice for notice in inputs.notices if notice not in _said_of(inputs.geometry))
    return replace(
        inputs, geometry=geometry, hole_digests=found.digests, holed=found.holed,
        notices=(*other, *_said_of(geometry)), hole_share=_share(found, geometry),
    )  # fmt: skip


def _share(found: Scan, geometry: Geometry) -> float:
    return min(1.0, found.largest_px / (geometry.height_px * geometry.width_px))


def geometry_of(height_px: int, width_px: int, settings: Settings) -> Geometry:
    """The sizes that the settings ask for of a source of these sides; where a region is worked on, before it is found.

    Raises:
        ShapeError: as `Geometry.plan`.
    """
    extract = settings.extract_frames
    return Geometry.plan(
        height_px, width_px,
        height_px=extract.height, width_px=extract.width, max_side_px=extract.max_side,
        resize_ratio=extract.resize_ratio,
        outpainting=settings.outpainting if settings.mode == "outpainting" else None,
    )  # fmt: skip


def require_files(video: Path, mask: Path | None) -> None:
    """Refuse what is not there, before anything that takes seconds.

    Raises:
        MediaError, MaskError: one of them is not there.
    """
    if not video.exists():
        raise MediaError(f"There is no video {video}. Give a file, or a folder of images.")
    if mask is not None and not mask.exists():
        raise MaskError(f"There is no mask {mask}. Give an image, a folder of images or a video.")


def _said_of(geometry: Geometry) -> tuple[str, ...]:
    """The remark on the part that is worked on; none where that is all of the frame."""
    match geometry.crop:
        case None:
            return ()
        case Crop() as crop:
            place = f"({crop.left_px}, {crop.top_px}) on"
        case Pan() as pan:
            tops, lefts = zip(*pan.places_px, strict=True)
            place = f"({min(lefts)}, {min(tops)}) to ({max(lefts)}, {max(tops)}) as they move"
    return (
        f"Working on {geometry.width_px}x{geometry.height_px} of {geometry.frame_width_px}x{geometry.frame_height_px} "
        f"pixels, the holes and what is around them, from {place}.",
    )


def asked_frames(info: VideoInfo, start: int | str, end: int | str | None) -> FrameRange:
    """The part of a video that the settings ask for.

    Raises:
        MediaError: there is no such part.
    """
    first = _frame_at(info, start)
    last = info.frames if end is None else min(info.frames, _frame_at(info, end))
    if first >= last:
        raise MediaError(
            f"{info.path} has {info.frames} frames; from {start} to {info.frames if end is None else end} there is "
            "none. Give an earlier --start or a later --end."
        )
    return FrameRange(first, last)


def _frame_at(info: VideoInfo, place: int | str) -> int:
    """A frame's number, or the first frame shown at a time or after it."""
    if isinstance(place, int):
        return place
    seconds = seconds_of(place)
    if seconds is None:
        raise SettingsError(f"{place!r} is no time. Give a frame counted from 0, or a time as h:m:s.")
    ticks = Fraction(seconds) / info.time_base + info.times[0]
    return bisect_left(info.times, ticks)
