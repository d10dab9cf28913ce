"""A few looks at a video and its mask, for choosing settings: how long it is, how much moves, where the holes are.

A few frames stand for all, so that a film is measured in seconds.
"""

from pathlib import Path

import numpy as np

from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry
from propainter.core.region import region_following
from propainter.core.settings import Settings
from propainter.core.tuning import VideoMeasures
from propainter.media.masks import MaskSource, open_masks
from propainter.media.resize import resize_frames
from propainter.media.source import VideoSource, open_source
from propainter.models.classical.dis import dis_flow
from propainter.models.classical.membrane import hole_box
from tasks.inspect_inputs import asked_frames, geometry_of
from tasks.scan_masks import MOST_SHARE

PAIRS_LOOKED_AT, MASKS_LOOKED_AT = 8, 32
SMALL_SIDE_PX = 240
"""Of the frames that motion is measured on."""


def measure_video(video: Path, mask: Path | None, settings: Settings) -> VideoMeasures:
    """Look at the part of a video that the settings ask for.

    Args:
        mask: None: it is not known where the holes are.
        settings: those given by the user; the size to work at, the part of the video and the mask's are looked at.

    Raises:
        MediaError, MaskError, ShapeError: as `inspect_inputs`.
    """
    extract = settings.extract_frames
    with open_source(video, save_fps=extract.save_fps) as source:
        info = source.info
        frames = asked_frames(info, extract.start, extract.end)
        motion = _motion(source, frames)
    geometry = geometry_of(info.height_px, info.width_px, settings)
    holed_share, region_px = 1.0, None
    if mask is not None:
        holed_share, region_px = _holes(open_masks(mask, info, settings.masks), frames, geometry)
    return VideoMeasures(
        frames=len(frames), seconds=float(len(frames) / info.frame_rate), height_px=geometry.height_px,
        width_px=geometry.width_px, motion=motion, resize_ratio=extract.resize_ratio, has_mask=mask is not None,
        holed_share=holed_share, region_px=region_px,
    )  # fmt: skip


def _motion(source: VideoSource, frames: FrameRange) -> float:
    """Mean displacement over the frame's width; the median over a few pairs, of which one may lie across a cut."""
    scale = min(SMALL_SIDE_PX / min(source.info.height_px, source.info.width_px), 1.0)
    height_px, width_px = (max(round(side * scale), 16) for side in (source.info.height_px, source.info.width_px))
    displacements = []
    for first in _spread(FrameRange(frames.start, max(frames.stop - 1, frames.start)), PAIRS_LOOKED_AT):
        pair = resize_frames(source.read(FrameRange(first, first + 2)), height_px, width_px)
        displacements.append(float(np.hypot(*dis_flow(pair)[0, 0]).mean()) / width_px)
    return float(np.median(displacements)) if displacements else 0.0


def _holes(masks: MaskSource, frames: FrameRange, geometry: Geometry) -> tuple[float, tuple[int, int] | None]:
    """The share of frames with a hole, and the sides of the region around them where it pays to work on that alone."""
    looked_at = _spread(frames, MASKS_LOOKED_AT if masks.frames is not None else 1)
    boxes: dict[int, list[int]] = {}
    for frame in looked_at:
        hole = masks.read(FrameRange(frame, frame + 1), geometry)[0]
        if hole.any():
            boxes[frame] = [end for side in hole_box(hole) for end in (side.start, side.stop)]
    if not boxes:
        return 0.0, None
    # Between two looks the hole is taken to move evenly.
    ends = [np.interp(range(frames.start, frames.stop), list(boxes), end) for end in zip(*boxes.values(), strict=True)]
    everywhere = np.rint(ends).astype(np.int64).T.reshape(-1, 2, 2)
    region = region_following(everywhere, frames, geometry.height_px, geometry.width_px)
    if region is None or region.height_px * region.width_px > MOST_SHARE * geometry.height_px * geometry.width_px:
        return len(boxes) / len(looked_at), None
    return len(boxes) / len(looked_at), (region.height_px, region.width_px)


def _spread(frames: FrameRange, most: int) -> list[int]:
    """So many frames at most, evenly from the first to the last."""
    return sorted({int(frame) for frame in np.linspace(frames.start, frames.stop - 1, min(most, len(frames)))})
