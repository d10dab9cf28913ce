"""The clip that `propainter bench` has filled: frames whose holes hide what is known, and the score of a fill."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from propainter.core.errors import MediaError
from propainter.core.frames import FrameRange
from propainter.media.folder import write_images
from propainter.media.sample import draw_sample
from propainter.media.source import open_source
from propainter.metrics.completion_task import draw_holes
from propainter.metrics.psnr import psnr_db, squared_error
from propainter.metrics.ssim import ssim
from propainter.models.classical.membrane import hole_box

DRAWN_HEIGHT_PX, DRAWN_WIDTH_PX = 360, 640
HOLE_SSIM_WINDOW_PX = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchClip:
    """Frames and masks as folders of PNG, equal in number."""

    name: str
    folder: Path
    frames: int
    height_px: int
    width_px: int


def make_clip(video: Path | None, frames: int, folder: Path) -> BenchClip:
    """The first frames of a video, or a drawn landscape under a panning camera, with holes that move over it.

    Raises:
        MediaError: the video cannot be read, or has a single frame.
    """
    if video is None:
        truth = draw_sample(frames, DRAWN_HEIGHT_PX, DRAWN_WIDTH_PX).clean
    else:
        with open_source(video) as source:
            truth = source.read(FrameRange(0, min(frames, source.info.frames)))
    count, height_px, width_px = truth.shape[:3]
    if count < 2:
        raise MediaError(f"{video} has {count} frame. Give a video of at least 2.")
    name = "drawn clip" if video is None else video.name
    clip = BenchClip(name=name, folder=folder, frames=count, height_px=height_px, width_px=width_px)
    for kind, pictures in (("frames", truth), ("masks", _holes_of(clip))):
        (folder / kind).mkdir()
        write_images(folder / kind, pictures)
    return clip


def score(clip: BenchClip, result: Path) -> tuple[float, float]:
    """PSNR of all hole pixels in dB, and SSIM of the holes, of a folder of frames at the clip's size."""
    filled, truth, holes = _read(result), _read(clip.folder / "frames"), _holes_of(clip)
    error, values = squared_error(filled, truth, holes)
    return float(psnr_db(error.sum(), values.sum())), hole_ssim(filled, truth, holes)


def hole_ssim(result: NDArray[np.uint8], truth: NDArray[np.uint8], holes: NDArray[np.bool_]) -> float:
    """Mean over the frames that have a hole of the similarity within the box around it.

    Args:
        result, truth: RGB, (T, H, W, 3).
        holes: (T, H, W), at least 7 pixels high and wide.
    """
    scores = []
    for filled, known, hole in zip(result, truth, holes, strict=True):
        if hole.any():
            box = hole_box(hole)
            scores.append(ssim(filled[box][None], known[box][None], HOLE_SSIM_WINDOW_PX)[0])
    return float(np.mean(scores))


def _read(folder: Path) -> NDArray[np.uint8]:
    with open_source(folder) as source:
        return source.read(FrameRange(0, source.info.frames))


def _holes_of(clip: BenchClip) -> NDArray[np.bool_]:
    return draw_holes("moving", FrameRange(0, clip.frames), clip.height_px, clip.width_px)
