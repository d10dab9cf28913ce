"""How a stored picture is turned to be shown, from the file's display matrix, and the turning itself."""

import struct
from dataclasses import dataclass
from typing import Any, cast

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from numpy.typing import NDArray

from propainter.media.colour import Colour, convert
from propainter.media.planes import frame_of_planes, full_chroma, layout_of, planes_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """Rows and columns swapped first, then either axis mirrored: all eight ways to lay a picture down."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @property
    def is_upright(self) -> bool:
        return not (self.transposed or self.mirrored_x or self.mirrored_y)

    @property
    def rotation_deg(self) -> int:
        """The clockwise turn that shows the picture, mirroring aside."""
        if self.transposed:
            return 90 if self.mirrored_x else 270
        return 180 if self.mirrored_y else 0

    def turn(self, picture: NDArray[Any]) -> NDArray[Any]:
        """A stored (H, W, ...) array as it is shown."""
        if self.transposed:
            picture = picture.swapaxes(0, 1)
        return picture[:: -1 if self.mirrored_y else 1, :: -1 if self.mirrored_x else 1]


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """From the display matrix that came with the frame: x' = a x + c y, y' = b x + d y in 16.16 fixed point."""
    side_data = cast(SideDataContainer, frame.side_data)
    if Type.DISPLAYMATRIX not in side_data:
        return Orientation()
    a, b, _, c, d = struct.unpack_from("=5i", bytes(side_data[Type.DISPLAYMATRIX]))
    if abs(b) > abs(a):
        return Orientation(transposed=True, mirrored_x=c < 0, mirrored_y=b < 0)
    return Orientation(mirrored_x=a < 0, mirrored_y=d < 0)


def upright_format(pixel_format: str, height_px: int, width_px: int, orientation: Orientation) -> str:
    """The pixel format in which a picture can be turned: its own, unless a chroma sample would cover other pixels."""
    layout = layout_of(pixel_format)
    if orientation.is_upright:
        return pixel_format
    if layout is None or any(
        (orientation.transposed and plane.columns != plane.rows) or width_px % plane.columns or height_px % plane.rows
        for plane in layout
    ):
        return full_chroma(pixel_format)
    return pixel_format


def turn_frame(frame: av.VideoFrame, orientation: Orientation, colour: Colour) -> av.VideoFrame:
    """The frame as it is shown, in upright_format."""
    if orientation.is_upright:
        return frame
    frame = convert(frame, upright_format(frame.format.name, frame.height, frame.width, orientation), colour)
    return frame_of_planes([np.ascontiguousarray(orientation.turn(plane)) for plane in planes_of(frame)], like=frame)
