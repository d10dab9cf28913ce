import numpy as np

from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry
from propainter.core.settings import Outpainting
from propainter.media.surround import Surround, extend_edges, holes_for_flow

GEOMETRY = Geometry.plan(64, 96, outpainting=Outpainting(scale_h=1.25, scale_w=1.25))
"""Margins of 8 rows and of 12 columns."""


def known(holes: np.ndarray) -> tuple[int, int, int, int]:
    """First and last row, first and last column of what is no hole, which must be a rectangle."""
    rows, columns = np.nonzero(~holes[0])
    top, bottom, left, right = int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())
    assert (~holes).sum() == len(holes) * (bottom - top + 1) * (right - left + 1)
    return top, bottom, left, right


def test_all_around_the_frame_is_hole_in_every_frame() -> None:
    holes = Surround().read(FrameRange(3, 5), GEOMETRY)
    assert holes.shape == (2, 80, 120)
    assert known(holes) == (8, 8 + 63, 12, 12 + 95)


def test_flow_is_completed_in_four_more_pixels_where_the_margin_is_over_ten() -> None:
    holes = Surround().read(FrameRange(0, 2), GEOMETRY)
    assert known(holes_for_flow(holes, GEOMETRY)) == (8, 8 + 63, 12 + 4, 12 + 95 - 4)


def test_an_axis_without_margin_is_left_alone() -> None:
    geometry = Geometry.plan(64, 96, outpainting=Outpainting(scale_w=1.25))
    holes = Surround().read(FrameRange(0, 1), geometry)
    assert known(holes) == (0, 63, 12, 12 + 95)
    assert known(holes_for_flow(holes, geometry)) == (0, 63, 12 + 4, 12 + 95 - 4)


def test_in_inpainting_flow_is_completed_in_the_hole_alone() -> None:
    holes = np.zeros((2, 64, 96), bool)
    assert holes_for_flow(holes, Geometry.plan(64, 96)) is holes


def test_edges_are_extended_into_the_corners() -> None:
    frames = np.zeros((1, 80, 120, 3), np.uint8)
    frames[:, 8:-8, 12:-12] = 7
    frames[:, 8, 12] = 200
    extended = extend_edges(frames, GEOMETRY)
    assert (extended[0, :9, :13] == 200).all()
    assert (extended[0, 9:] == 7).all()
