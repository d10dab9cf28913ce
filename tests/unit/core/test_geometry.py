from dataclasses import replace

import pytest

from propainter.core.errors import ShapeError
from propainter.core.geometry import Crop, Geometry
from propainter.core.settings import Outpainting


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


def test_outpaintings_canvas_is_floored_and_its_frame_centred() -> None:
    geometry = Geometry.plan(136, 200, outpainting=Outpainting(scale_h=1.2, scale_w=1.3))
    assert (geometry.height_px, geometry.width_px) == (160, 256)  # 163 and 260 floored
    assert (geometry.margin_y_px, geometry.margin_x_px) == (12, 28)
    assert not geometry.resizes
    assert geometry.written_size_px(keep_size=True) == geometry.written_size_px(keep_size=False) == (160, 256)


def test_a_resized_frames_margins_are_scaled_along_with_it_in_whole_chroma_blocks() -> None:
    geometry = Geometry.plan(720, 1280, height_px=240, width_px=432, outpainting=Outpainting(scale_w=1.2))
    assert (geometry.width_px, geometry.margin_x_px) == (512, 40)
    assert geometry.kept_margin_x_px == 116  # 40 x 1280 / 432 = 118.5
    assert geometry.written_size_px(keep_size=True) == (720, 1280 + 2 * 116)
    assert geometry.written_size_px(keep_size=False) == (240, 512)


@pytest.mark.parametrize(("scale_h", "scale_w"), [(1.0, 1.0), (1.0, 1.03)])
def test_a_canvas_no_larger_than_the_frame_is_refused_with_both_numbers(scale_h: float, scale_w: float) -> None:
    with pytest.raises(ShapeError, match=rf"scale_w {scale_w} add nothing to 200x136.*--scale-w"):
        Geometry.plan(136, 200, outpainting=Outpainting(scale_h=scale_h, scale_w=scale_w))


def test_with_a_crop_its_sides_are_those_of_every_array_and_the_frame_is_not_floored() -> None:
    geometry = replace(Geometry.plan(480, 854), crop=Crop(top_px=64, left_px=128, height_px=192, width_px=256))
    assert (geometry.height_px, geometry.width_px) == (192, 256)
    assert (geometry.frame_height_px, geometry.frame_width_px) == (480, 854)
    assert not geometry.resizes
    assert geometry.written_size_px(keep_size=True) == (480, 854)
