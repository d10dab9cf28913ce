"""Which pixel format is written: the source's own where the encoder takes it, else the nearest that holds it all."""

import av

from propainter.media.colour import is_rgb
from propainter.media.info import VideoInfo
from propainter.media.planes import bit_depth_of

_SUBSAMPLINGS = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}
"""Luma columns and rows that a chroma sample covers, coarsest first."""

_RGB_BY_BITS = {8: "bgr0", 9: "gbrp9le", 10: "gbrp10le", 12: "gbrp12le", 14: "gbrp14le", 16: "gbrp16le"}


def choose_pixel_format(encoder: str, info: VideoInfo, height_px: int, width_px: int) -> str:
    """FFmpeg's name of the format to encode frames of this size in.

    Bits and chroma sampling are the source's, or the next finer that the encoder has; bits fall only where it has no
    more. FFV1 keeps RGB as RGB, PNG is always 8-bit RGB; to the others a folder of images is 4:2:0, as players want it.
    """
    if encoder == "png":
        return "rgb24"
    own = info.pixel_format.replace("yuvj", "yuv")
    offered = {found.name for found in av.Codec(encoder, "w").video_formats or ()}
    if encoder == "ffv1":
        if is_rgb(own):
            return _RGB_BY_BITS[next(depth for depth in _RGB_BY_BITS if depth >= info.bit_depth)]
        if own in offered:
            return own
    covered = (2, 2) if info.is_folder else _chroma_block(own)
    if own in offered and not is_rgb(own) and not own.startswith("yuva") and not _splits(covered, height_px, width_px):
        return own
    for name, block in _SUBSAMPLINGS.items():
        depths = {bit_depth_of(found): found for found in sorted(offered) if _is_planar(found, name)}
        if depths and block <= covered and block[1] <= covered[1] and not _splits(block, height_px, width_px):
            return depths[min((depth for depth in depths if depth >= info.bit_depth), default=max(depths))]
    raise ValueError(f"{encoder} takes no full chroma")


def _is_planar(pixel_format: str, subsampling: str) -> bool:
    return pixel_format == f"yuv{subsampling}p" or (
        pixel_format.startswith(f"yuv{subsampling}p") and pixel_format.endswith("le")
    )


def _chroma_block(pixel_format: str) -> tuple[int, int]:
    description = av.VideoFormat(pixel_format, 64, 64)
    return 64 // description.chroma_width(64), 64 // description.chroma_height(64)


def _splits(block: tuple[int, int], height_px: int, width_px: int) -> bool:
    """True where a chroma sample would reach over the edge, which H.264 and ProRes do not allow."""
    return bool(width_px % block[0] or height_px % block[1])
