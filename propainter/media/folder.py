"""Frames from a folder of images, sorted by name."""

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from propainter.core.errors import MediaError
from propainter.core.frames import FrameRange
from propainter.media.colour import Colour
from propainter.media.info import VideoInfo

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by name; not those of folders inside it."""
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )


def open_image(path: Path) -> Image.Image:
    """Open an image file as it is shown, its EXIF orientation undone.

    Raises:
        MediaError: it cannot be read as an image.
    """
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        raise MediaError(f"{path} cannot be read as an image. Replace it, or take it out.") from None


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3), 8 bits; of 16-bit greys the upper eight. Transparency is dropped.

    Raises:
        MediaError: as open_image.
    """
    image = open_image(path)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8))
    return np.asarray(image.convert("RGB"))


class ImageFolder:
    """A VideoSource over a folder of images of one size."""

    def __init__(self, path: Path, *, save_fps: float) -> None:
        """List and measure.

        Raises:
            MediaError: no images, or one that is unreadable or of another size.
        """
        self._files = images_in(path)
        self._digest: str | None = None
        if not self._files:
            suffixes = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
            raise MediaError(f"{path} holds no images ({suffixes}). Give a folder of frames.")
        width_px, height_px = size_of(self._files[0])
        for file in self._files:
            if (size := size_of(file)) != (width_px, height_px):
                raise MediaError(
                    f"{file} is {size[0]}x{size[1]}, but {self._files[0].name} is {width_px}x{height_px}. "
                    "Give frames of one size."
                )
        self.info = VideoInfo(
            path=path,
            frames=len(self._files),
            height_px=height_px,
            width_px=width_px,
            times=tuple(range(len(self._files))),
            end_time=len(self._files),
            time_base=1 / Fraction(save_fps).limit_denominator(1001),
            is_folder=True,
            pixel_format="rgb24",
            bit_depth=8,
            colour=Colour(),
            rotation_deg=0,
            sample_aspect=Fraction(1),
            codec="images",
        )

    @property
    def content_digest(self) -> str:
        if self._digest is None:
            state = hashlib.blake2b(digest_size=20)
            for file in self._files:
                content = file.read_bytes()
                state.update(len(content).to_bytes(8, "big"))
                state.update(content)
            self._digest = state.hexdigest()
        return self._digest

    def read(self, frames: FrameRange) -> NDArray[np.uint8]:
        if frames.stop > len(self._files):
            raise MediaError(f"frames {frames} of {self.info.path} are not there: it has {len(self._files)} frames.")
        pictures = np.empty((len(frames), self.info.height_px, self.info.width_px, 3), np.uint8)
        for picture, file in zip(pictures, self._files[frames.start : frames.stop], strict=True):
            picture[...] = read_rgb(file)
        return pictures

    def native(self, frames: FrameRange) -> Iterator[av.VideoFrame]:
        for number in frames:
            yield av.VideoFrame.from_ndarray(self.read(FrameRange(number, number + 1))[0], format="rgb24")

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def size_of(path: Path) -> tuple[int, int]:
    """(width, height) as shown, from the header.

    Raises:
        MediaError: as open_image.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) >= 5
            return (image.height, image.width) if turned else image.size
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        raise MediaError(f"{path} cannot be read as an image. Replace it, or take it out.") from None


def write_images(folder: Path, pictures: NDArray[np.uint8] | NDArray[np.bool_], *, first: int = 0) -> None:
    """Pictures as PNG, lightly compressed, named by their numbers from first on: 00000.png."""
    for number, picture in enumerate(pictures, first):
        Image.fromarray(picture).save(folder / f"{number:05}.png", compress_level=1)
