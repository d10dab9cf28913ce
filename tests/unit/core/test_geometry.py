import pytest

from propainter.core.errors import ShapeError
from propainter.core.geometry import Geometry


def test_sides_are_floored_to_multiples_of_eight() -> None:
    geometry = Geometry.plan(480, 854)
    assert (geometry.height_px, geometry.width_px) == (480, 848)
    assert geometry.resizes


def test_a_size_counts_only_where_both_sides_are_given() -> None:
    assert Geometry.plan(240, 432, width_px=100).width_px == 432
    assert Geometry.plan(240, 432, width_px=194, height_px=132).width_px == 192


def test_the_ratio_is_taken_before_the_flooring_and_is_the_size_asked_for() -> None:
    geometry = Geometry.plan(240, 432, resize_ratio=0.5)
    assert (geometry.asked_height_px, geometry.asked_width_px) == (120, 216)
    assert (geometry.height_px, geometry.width_px) == (120, 216)
    assert Geometry.plan(245, 432, resize_ratio=0.5).asked_height_px == 122


def test_a_side_under_the_minimum_is_refused_with_the_size_and_the_way_out() -> None:
    with pytest.raises(ShapeError, match=r"432x15 is too small.*--width"):
        Geometry.plan(15, 432)
