"""Sizes: of the source, of what the method works on, of what is written; and where the source lies in the others.

Frames are (H, W) throughout.
"""

from dataclasses import dataclass, replace

from propainter.core.errors import ShapeError
from propainter.core.frames import FrameRange
from propainter.core.settings import Outpainting

SIDE_MULTIPLE_PX = 8
"""The networks halve three times; every engine works on sides that allow it."""

MIN_SIDE_PX = 16
"""Under this, optical flow has no pyramid to search."""

_CHROMA_BLOCK_PX = 4
"""The longest side of any format's chroma sample: in a margin of whole blocks the source's samples stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """A rectangle of the frame. Its sides are multiples of 8."""

    top_px: int
    left_px: int
    height_px: int
    width_px: int

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return (
            slice(self.top_px, self.top_px + self.height_px),
            slice(self.left_px, self.left_px + self.width_px),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pan:
    """A crop that lies elsewhere from frame to frame.

    places_px: its top and left in each frame of the source, from first_frame on.
    """

    height_px: int
    width_px: int
    first_frame: int
    places_px: tuple[tuple[int, int], ...]

    def at(self, frame: int) -> Crop:
        """In one frame of the source."""
        ((top_px, left_px),) = self.places_in(FrameRange(frame, frame + 1))
        return Crop(top_px=top_px, left_px=left_px, height_px=self.height_px, width_px=self.width_px)

    def places_in(self, frames: FrameRange) -> tuple[tuple[int, int], ...]:
        """In these frames of the source.

        Raises:
            ShapeError: it has no place in some of them.
        """
        placed = FrameRange(self.first_frame, self.first_frame + len(self.places_px))
        return self.places_px[frames.slice_in(placed)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """The sizes of one run.

    source: as decoded, after rotation. asked: what the user wants to look at where the source's size is not kept.
    frame: asked, floored to multiples of 8. margin: what outpainting adds above and below (y), left and right (x); 0 in
    inpainting. crop: the part of the frame that is worked on, None for all of it; there are margins or a crop, not
    both, and with a crop frame is asked as it is. height_px and width_px: the crop, or frame and margins, the size of
    every cached array.

    Where a crop pans, `at` gives the geometry of a single frame.
    """

    source_height_px: int
    source_width_px: int
    asked_height_px: int
    asked_width_px: int
    margin_y_px: int = 0
    margin_x_px: int = 0
    crop: Crop | Pan | None = None

    @classmethod
    def plan(
        cls, source_height_px: int, source_width_px: int, *,
        height_px: int | None = None, width_px: int | None = None, max_side_px: int | None = None,
        resize_ratio: float = 1.0, outpainting: Outpainting | None = None,
    ) -> "Geometry":  # fmt: skip
        """Apply the size settings: width and height only where both are given, else the longest side, then the ratio.

        Args:
            outpainting: None in inpainting.

        Raises:
            ShapeError: a side of the frame falls under MIN_SIDE_PX, or outpainting adds nothing to it.
        """
        if height_px is None or width_px is None:
            height_px, width_px = _within(max_side_px, source_height_px, source_width_px)
        geometry = cls(
            source_height_px=source_height_px,
            source_width_px=source_width_px,
            asked_height_px=int(height_px * resize_ratio),
            asked_width_px=int(width_px * resize_ratio),
        )
        if min(geometry.frame_height_px, geometry.frame_width_px) < MIN_SIDE_PX:
            raise ShapeError(
                f"{geometry.asked_width_px}x{geometry.asked_height_px} is too small to work on. "
                f"Both sides must be at least {MIN_SIDE_PX} pixels: give a larger --width and --height."
            )
        return geometry if outpainting is None else geometry._with_canvas(outpainting)

    def _with_canvas(self, outpainting: Outpainting) -> "Geometry":
        geometry = replace(
            self,
            margin_y_px=(_floored(int(self.frame_height_px * outpainting.scale_h)) - self.frame_height_px) // 2,
            margin_x_px=(_floored(int(self.frame_width_px * outpainting.scale_w)) - self.frame_width_px) // 2,
        )
        if not geometry.outpaints:
            raise ShapeError(
                f"scale_h {outpainting.scale_h} and scale_w {outpainting.scale_w} add nothing to "
                f"{self.frame_width_px}x{self.frame_height_px}. Give a larger --scale-h or --scale-w: "
                f"it takes {SIDE_MULTIPLE_PX} pixels more on a side."
            )
        return geometry

    @property
    def outpaints(self) -> bool:
        return (self.margin_y_px, self.margin_x_px) != (0, 0)

    @property
    def frame_height_px(self) -> int:
        return self.asked_height_px if self.crop else _floored(self.asked_height_px)

    @property
    def frame_width_px(self) -> int:
        return self.asked_width_px if self.crop else _floored(self.asked_width_px)

    @property
    def height_px(self) -> int:
        return self.crop.height_px if self.crop else self.frame_height_px + 2 * self.margin_y_px

    @property
    def width_px(self) -> int:
        return self.crop.width_px if self.crop else self.frame_width_px + 2 * self.margin_x_px

    def at(self, frame: int) -> "Geometry":
        """As it is for one frame of the source."""
        return replace(self, crop=self.crop.at(frame)) if isinstance(self.crop, Pan) else self

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the frame that are worked on.

        Raises:
            ShapeError: they are others in each frame.
        """
        if isinstance(self.crop, Pan):
            raise ShapeError("a crop that pans lies elsewhere in each frame. Ask for the geometry at one of them.")
        return self.crop.box if self.crop else (slice(0, self.frame_height_px), slice(0, self.frame_width_px))

    @property
    def resizes(self) -> bool:
        """True where processing pixels are not source pixels."""
        return (self.frame_height_px, self.frame_width_px) != (self.source_height_px, self.source_width_px)

    @property
    def kept_margin_y_px(self) -> int:
        """margin_y_px at the source's resolution, in whole chroma blocks."""
        return _in_blocks(self.margin_y_px * self.source_height_px // self.frame_height_px)

    @property
    def kept_margin_x_px(self) -> int:
        return _in_blocks(self.margin_x_px * self.source_width_px // self.frame_width_px)

    def written_size_px(self, *, keep_size: bool) -> tuple[int, int]:
        """Height and width of the result.

        keep_size: the source's pixels as they are, with the margins scaled to them; else the size asked for, in
        outpainting the processing size.
        """
        if keep_size:
            return (
                self.source_height_px + 2 * self.kept_margin_y_px,
                self.source_width_px + 2 * self.kept_margin_x_px,
            )
        return (self.height_px, self.width_px) if self.outpaints else (self.asked_height_px, self.asked_width_px)


def _within(max_side_px: int | None, height_px: int, width_px: int) -> tuple[int, int]:
    """Sides scaled down alike until neither is over max_side_px; never up."""
    longest_px = max(height_px, width_px)
    if max_side_px is None or longest_px <= max_side_px:
        return height_px, width_px
    return round(height_px * max_side_px / longest_px), round(width_px * max_side_px / longest_px)


def _floored(side_px: int) -> int:
    return side_px // SIDE_MULTIPLE_PX * SIDE_MULTIPLE_PX


def _in_blocks(side_px: int) -> int:
    return side_px // _CHROMA_BLOCK_PX * _CHROMA_BLOCK_PX
