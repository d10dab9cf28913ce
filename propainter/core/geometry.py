"""Sizes: of the source, of what the method works on, of what is written. Frames are (H, W) throughout."""

from dataclasses import dataclass

from propainter.core.errors import ShapeError

SIDE_MULTIPLE_PX = 8
"""The networks halve three times; every engine works on sides that allow it."""

MIN_SIDE_PX = 16
"""Under this, optical flow has no pyramid to search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """The three sizes of one run.

    source: as decoded, after rotation. asked: what the user wants to look at where the source's size is not kept.
    processing: asked, floored to multiples of 8; the size of every cached array.
    """

    source_height_px: int
    source_width_px: int
    asked_height_px: int
    asked_width_px: int

    @classmethod
    def plan(
        cls, source_height_px: int, source_width_px: int, *,
        height_px: int | None = None, width_px: int | None = None, resize_ratio: float = 1.0,
    ) -> "Geometry":  # fmt: skip
        """Apply the size settings: width and height only where both are given, then the ratio (integer part).

        Raises:
            ShapeError: a processing side falls under MIN_SIDE_PX.
        """
        if height_px is None or width_px is None:
            height_px, width_px = source_height_px, source_width_px
        geometry = cls(
            source_height_px=source_height_px,
            source_width_px=source_width_px,
            asked_height_px=int(height_px * resize_ratio),
            asked_width_px=int(width_px * resize_ratio),
        )
        if min(geometry.height_px, geometry.width_px) < MIN_SIDE_PX:
            raise ShapeError(
                f"{geometry.asked_width_px}x{geometry.asked_height_px} is too small to work on. "
                f"Both sides must be at least {MIN_SIDE_PX} pixels: give a larger --width and --height."
            )
        return geometry

    @property
    def height_px(self) -> int:
        return self.asked_height_px // SIDE_MULTIPLE_PX * SIDE_MULTIPLE_PX

    @property
    def width_px(self) -> int:
        return self.asked_width_px // SIDE_MULTIPLE_PX * SIDE_MULTIPLE_PX

    @property
    def resizes(self) -> bool:
        """True where processing pixels are not source pixels."""
        return (self.height_px, self.width_px) != (self.source_height_px, self.source_width_px)
