import pytest

from propainter.core.geometry import Crop
from propainter.core.region import GRID_PX, region_around

HEIGHT_PX, WIDTH_PX = 1080, 1920
CONTEXT_PX = 240
"""An eighth of the longer side."""


def region(rows: slice, columns: slice, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX) -> Crop:
    crop = region_around((rows, columns), height_px, width_px)
    assert crop is not None
    assert (crop.height_px % 8, crop.width_px % 8) == (0, 0)
    return crop


def test_a_region_holds_the_holes_and_their_context() -> None:
    rows, columns = region(slice(500, 600), slice(900, 1000)).box
    assert rows.start <= 500 - CONTEXT_PX < 600 + CONTEXT_PX <= rows.stop
    assert columns.start <= 900 - CONTEXT_PX < 1000 + CONTEXT_PX <= columns.stop
    assert (rows.stop - rows.start) <= 100 + 2 * (CONTEXT_PX + GRID_PX)


def test_holes_that_move_a_little_keep_their_region() -> None:
    first = 10 * GRID_PX + CONTEXT_PX
    assert len({region(slice(first + by, first + by + 40), slice(900, 1000)) for by in range(20)}) == 1


def test_a_region_ends_where_the_frame_does() -> None:
    assert region(slice(0, 10), slice(1910, 1920)).box == (slice(0, 256), slice(1664, 1920))


def test_no_side_is_under_what_the_optical_flow_takes_unless_the_frames_is() -> None:
    middle, corner = (slice(100, 101), slice(100, 101)), (slice(0, 1), slice(0, 1))
    assert region(*middle, 240, 240).box == (slice(64, 192), slice(64, 192))
    assert region(*corner, 240, 240).box == (slice(0, 128), slice(0, 128))
    assert region(*corner, 96, 240).box == (slice(0, 96), slice(0, 128))


def test_a_frame_whose_side_is_no_multiple_of_8_gives_a_region_whose_sides_are() -> None:
    assert region(slice(0, 50), slice(760, 854), 480, 854).box[1] == slice(638, 854)
    assert region(slice(0, 50), slice(10, 840), 480, 854).box[1] == slice(0, 848)


def test_holes_at_both_ends_of_such_a_side_ask_for_the_whole_frame() -> None:
    assert region_around((slice(0, 50), slice(0, 854)), 480, 854) is None


@pytest.mark.parametrize(("share", "side_px"), [(0, 128), (1 / 16, 320)])
def test_context_is_a_share_of_the_longer_side(share: float, side_px: int) -> None:
    box = (slice(512, 576), slice(512, 576))
    crop = region_around(box, HEIGHT_PX, WIDTH_PX, share)
    assert crop is not None
    assert (crop.height_px, crop.width_px) == (side_px, side_px)
