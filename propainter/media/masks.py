"""Masks: where the hole is, from one image, a folder of them, a video, or in outpainting from the geometry."""

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from propainter.core.errors import MaskError, MediaError
from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry
from propainter.core.settings import Masks
from propainter.media.folder import IMAGE_SUFFIXES, images_in, open_image, size_of
from propainter.media.info import VideoInfo
from propainter.media.resize import resize_holes
from propainter.media.surround import Surround
from propainter.media.video_file import VideoFile

LOSSY_THRESHOLD = 127
_LOSSLESS_CODECS = frozenset({
    "ffv1", "png", "apng", "rawvideo", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "qtrle", "bmp", "tiff", "gif",
    "msrle", "zlib", "lagarith", "flashsv", "wrapped_avframe",
})  # fmt: skip
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


class MaskSource(Protocol):
    """Holes by range. frames is None where one image serves every frame."""

    @property
    def frames(self) -> int | None: ...

    @property
    def notices(self) -> tuple[str, ...]:
        """One-line remarks for the user."""
        ...

    def read(self, frames: FrameRange, geometry: Geometry) -> NDArray[np.bool_]:
        """Holes of these frames of the source at processing size, dilated there: (n, height_px, width_px).

        Raises:
            MaskError: a mask cannot be read.
        """
        ...


def open_masks(path: Path | None, info: VideoInfo, masks: Masks) -> MaskSource:
    """Masks for a video: one for all frames, or as many as the source has (whatever part of it is asked for).

    None: outpainting, whose hole is what the geometry has around the frame.

    A pixel belongs to the hole where its 8-bit grey is over the threshold: over 0 in lossless files, over 127 in
    lossy ones (JPEG, WebP with loss, video), or over what the settings say. Palettes count by the grey they show;
    transparency does not count.

    Raises:
        MaskError: not there, not readable, or another number of masks than frames.
    """
    if path is None:
        return Surround()
    if not path.exists():
        raise MaskError(f"{path} does not exist. Give a mask image, a folder of them, or a mask video.")
    try:
        if path.is_dir():
            return ImageMasks(images_in(path), path, info, masks)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return ImageMasks([path], path, info, masks)
        return VideoMasks(path, info, masks)
    except MediaError as error:
        raise MaskError(f"mask {error}") from None


class ImageMasks:
    """One image for all frames, read once, or an image per frame."""

    def __init__(self, files: list[Path], path: Path, info: VideoInfo, masks: Masks) -> None:
        where = f"{path}/" if path.is_dir() else str(path)
        if not files:
            raise MaskError(f"{where} holds no images. Give one mask, or one per frame.")
        _check_count(len(files), where, info)
        self._files = files
        self._masks = masks
        self.frames = None if len(files) == 1 else len(files)
        self.notices = _size_notices({size_of(file) for file in files}, where, info)
        self._still: tuple[Geometry, NDArray[np.bool_]] | None = None

    def read(self, frames: FrameRange, geometry: Geometry) -> NDArray[np.bool_]:
        holes = np.empty((len(frames), geometry.height_px, geometry.width_px), np.bool_)
        for hole, number in zip(holes, frames, strict=True):
            hole[...] = self._at(number, geometry.at(number))
        return holes

    def _at(self, number: int, geometry: Geometry) -> NDArray[np.bool_]:
        if self.frames is not None:
            return self._hole(self._files[number], geometry)
        if self._still is None or self._still[0] != geometry:
            self._still = geometry, self._hole(self._files[0], geometry)
        return self._still[1]

    def _hole(self, file: Path, geometry: Geometry) -> NDArray[np.bool_]:
        try:
            image = open_image(file)
        except MediaError as error:
            raise MaskError(f"mask {error}") from None
        return shape_hole(grey_of(image), _threshold(self._masks, _is_lossy(file)), geometry, self._masks.dilation)


class VideoMasks:
    """A video with a frame of mask for each frame of the source, or a single one for all."""

    def __init__(self, path: Path, info: VideoInfo, masks: Masks) -> None:
        self._video = VideoFile(path)
        count = self._video.info.frames
        if count not in (1, info.frames):
            self._video.close()
        _check_count(count, str(path), info)
        self._masks = masks
        self._threshold = _threshold(masks, self._video.info.codec not in _LOSSLESS_CODECS)
        self.frames = None if count == 1 else count
        self.notices = _size_notices({(self._video.info.width_px, self._video.info.height_px)}, str(path), info)

    def read(self, frames: FrameRange, geometry: Geometry) -> NDArray[np.bool_]:
        holes = np.empty((len(frames), geometry.height_px, geometry.width_px), np.bool_)
        for hole, number in zip(holes, frames, strict=True):
            shown = 0 if self.frames is None else number
            try:
                picture = self._video.read(FrameRange(shown, shown + 1))[0]
            except MediaError as error:
                raise MaskError(f"mask {error}") from None
            grey = grey_of(Image.fromarray(picture))
            hole[...] = shape_hole(grey, self._threshold, geometry.at(number), self._masks.dilation)
        return holes


def grey_of(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W), 8 bits. Any value over 0 of a deeper grey stays over 0."""
    if image.mode.startswith(("I", "F")):
        deep = np.asarray(image)
        return np.where(deep > 0, np.clip(deep / 257, 1, 255), 0).astype(np.uint8)
    return np.asarray(image.convert("L"))


def shape_hole(grey: NDArray[np.uint8], threshold: int, geometry: Geometry, dilation: int) -> NDArray[np.bool_]:
    """Threshold, scale to processing size by the nearest rule, dilate there with the 3x3 cross, then crop."""
    hole: NDArray[np.bool_] = resize_holes((grey > threshold)[None], geometry.frame_height_px, geometry.frame_width_px)[
        0
    ]
    if dilation > 0:
        hole = np.asarray(cv2.dilate(hole.astype(np.uint8), _CROSS, iterations=dilation)).astype(np.bool_)
    return hole[geometry.box]


def _threshold(masks: Masks, is_lossy: bool) -> int:
    if masks.threshold is not None:
        return masks.threshold
    return LOSSY_THRESHOLD if is_lossy else 0


def _is_lossy(path: Path) -> bool:
    """JPEG, or a WebP whose picture is a VP8 chunk (a lossless one is VP8L)."""
    with Image.open(path) as image:
        if image.format == "WEBP":
            return b"VP8 " in path.read_bytes()
        return image.format in ("JPEG", "MPO")


def _check_count(count: int, where: str, info: VideoInfo) -> None:
    if count not in (1, info.frames):
        raise MaskError(f"{count} masks for {info.frames} frames in {where}. Give one mask, or one per frame.")


def _size_notices(sizes: set[tuple[int, int]], where: str, info: VideoInfo) -> tuple[str, ...]:
    others = sorted(sizes - {(info.width_px, info.height_px)})
    if not others:
        return ()
    seen = ", ".join(f"{width}x{height}" for width, height in others)
    return (f"Masks in {where} are {seen}, the video is {info.width_px}x{info.height_px}: they are scaled to it.",)
