"""What is encoded and how: codec, container, pixel format and tags, decided before the first frame."""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av

from propainter.core.errors import OutputError
from propainter.core.geometry import Geometry
from propainter.core.settings import Codec, EncodeVideo
from propainter.media.colour import UNSPECIFIED, Colour, is_rgb
from propainter.media.info import VideoInfo
from propainter.media.pixel_format import choose_pixel_format

Container = Literal["mp4", "mov", "matroska", "folder"]

_CONTAINERS: dict[str, Container] = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_HELD: dict[Container, tuple[Codec, ...]] = {
    "mp4": ("h264", "h265"),
    "mov": ("h264", "h265", "prores"),
    "matroska": ("h264", "h265", "ffv1", "prores"),
    "folder": ("png",),
}
ENCODERS: dict[Codec, str] = {
    "h264": "libx264", "h265": "libx265", "ffv1": "ffv1", "prores": "prores_ks", "png": "png",
}  # fmt: skip
_CRF: dict[Codec, int] = {"h264": 16, "h265": 18}
_B_FRAME_DEPTH = 2
"""Three B frames in a pyramid."""

_RGB_MATRIX = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeSpec:
    """Everything that an encoded piece depends on beside its frames.

    encoder_version: FFmpeg's; another one gives other bytes. sample_aspect: width of a pixel over its height.
    frame_rate: the mean one, by which encoders spend their bits; when frames are shown is the container's matter.
    crf: None for codecs that have none.
    """

    codec: Codec
    encoder_version: str
    container: Container
    pixel_format: str
    height_px: int
    width_px: int
    colour: Colour
    sample_aspect: Fraction
    frame_rate: Fraction
    crf: int | None

    @property
    def reorder_frames(self) -> int:
        """How far a frame may be decoded ahead of its turn."""
        return _B_FRAME_DEPTH if self.codec in _CRF else 0


def plan_encoding(info: VideoInfo, settings: EncodeVideo, geometry: Geometry, output: Path) -> EncodeSpec:
    """Choose container by output's suffix (none: a folder of PNG), codec, and the pixel format nearest the source's.

    Raises:
        OutputError: an unknown suffix, or a codec that its container does not hold.
    """
    container = _container_of(output)
    codec = settings.codec or _HELD[container][0]
    if codec not in _HELD[container]:
        raise OutputError(
            f"{codec} cannot be written to {output.name}. "
            f"Use --codec {' or '.join(_HELD[container])}, or {_home_of(codec)}."
        )
    height_px, width_px = geometry.written_size_px(keep_size=settings.keep_size)
    pixel_format = choose_pixel_format(ENCODERS[codec], info, height_px, width_px)
    return EncodeSpec(
        codec=codec,
        encoder_version=".".join(str(part) for part in av.library_versions["libavcodec"]),
        container=container,
        pixel_format=pixel_format,
        height_px=height_px,
        width_px=width_px,
        colour=_written_colour(info, pixel_format, height_px),
        sample_aspect=info.sample_aspect,
        frame_rate=info.frame_rate.limit_denominator(100_000),
        crf=_CRF.get(codec) if settings.crf is None or codec not in _CRF else settings.crf,
    )


def _container_of(output: Path) -> Container:
    suffix = output.suffix.lower()
    if not suffix or output.is_dir():
        return "folder"
    if suffix not in _CONTAINERS:
        raise OutputError(f"{output.name} is in no format that can be written. Use .mp4, .mkv, .mov, or a folder.")
    return _CONTAINERS[suffix]


def _home_of(codec: Codec) -> str:
    """Where a codec can be written, in the user's words."""
    names = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv", "folder": "a folder"}
    homes = [names[container] for container, held in _HELD.items() if codec in held]
    return f"write to {' or '.join(homes)}"


def _written_colour(info: VideoInfo, pixel_format: str, height_px: int) -> Colour:
    """The source's tags; explicit ones where RGB becomes YUV or another size would make a player guess otherwise."""
    if is_rgb(pixel_format):
        return replace(info.colour, matrix=_RGB_MATRIX, range="full")
    if is_rgb(info.pixel_format):
        return replace(info.colour, matrix=UNSPECIFIED, range="limited").resolved(height_px)
    return info.colour if height_px == info.height_px else info.colour.resolved(info.height_px)
