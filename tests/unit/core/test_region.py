import numpy as np
import pytest

from propainter.core.frames import FrameRange
from propainter.core.geometry import Crop, Pan
from propainter.core.region import CONTEXT_SHARE, GRID_PX, STEP_FRAMES, UNASKED_SPEED_PX, Boxes, region_following

HEIGHT_PX, WIDTH_PX = 1080, 1920
CONTEXT_PX = 240
"""An eighth of the longer side."""


def of_one_frame(
    rows: slice, columns: slice, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX, share: float = CONTEXT_SHARE
) -> Crop | Pan | None:
    box = np.array([[(rows.start, rows.stop), (columns.start, columns.stop)]])
    return region_following(box, FrameRange(0, 1), height_px, width_px, context_share=share)


def region(rows: slice, columns: slice, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX) -> Crop:
    crop = of_one_frame(rows, columns, height_px, width_px)
    assert isinstance(crop, Crop)
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
    assert of_one_frame(slice(0, 50), slice(0, 854), 480, 854) is None


@pytest.mark.parametrize(("share", "side_px"), [(0, 128), (1 / 16, 320)])
def test_context_is_a_share_of_the_longer_side(share: float, side_px: int) -> None:
    crop = of_one_frame(slice(512, 576), slice(512, 576), share=share)
    assert crop is not None
    assert (crop.height_px, crop.width_px) == (side_px, side_px)


SIDE_PX = 40
"""Of the holes that move."""


def boxes_at(lefts_px: list[int | None], top_px: int = 500) -> Boxes:
    """Square holes of SIDE_PX, one a frame; None: a frame without."""
    spans = [
        [(0, 0), (0, 0)] if left_px is None else [(top_px, top_px + SIDE_PX), (left_px, left_px + SIDE_PX)]
        for left_px in lefts_px
    ]
    return np.array(spans, np.int64)


def panned(boxes: Boxes, first_frame: int = 0, shots: list[FrameRange] | None = None) -> Pan:
    frames = FrameRange(first_frame, first_frame + len(boxes))
    pan = region_following(boxes, frames, HEIGHT_PX, WIDTH_PX, shots or ())
    assert isinstance(pan, Pan)
    return pan


def lefts_of(pan: Pan) -> list[int]:
    return [left_px for _, left_px in pan.places_px]


CROSSING = boxes_at([100 + 2 * t for t in range(600)])


def test_a_region_pans_with_a_hole_that_crosses_the_frame_and_keeps_its_context() -> None:
    pan = panned(CROSSING)
    # 40 of hole, 2 x 240 of context, 2 px in each of the frames between the step before and the one after.
    assert pan.width_px == 9 * GRID_PX >= SIDE_PX + 2 * CONTEXT_PX + 2 * 2 * STEP_FRAMES
    for frame, left_px in enumerate(lefts_of(pan)):
        start, stop = CROSSING[frame, 1]
        assert 0 <= left_px <= max(start - CONTEXT_PX, 0)
        assert min(stop + CONTEXT_PX, WIDTH_PX) <= left_px + pan.width_px <= WIDTH_PX
    assert len({top_px for top_px, _ in pan.places_px}) == 1


def test_it_moves_as_fast_as_the_hole_and_evenly() -> None:
    steps_px = np.diff(lefts_of(panned(CROSSING)))
    assert set(steps_px[120:500]) == {2}  # far from both ends of the frame
    assert set(steps_px) <= {0, 1, 2, 3}


@pytest.mark.parametrize("step_px", [0, 1, -1])
def test_holes_that_keep_to_their_place_have_one_region_for_all_frames(step_px: int) -> None:
    boxes = boxes_at([900 + step_px * (t % 60) for t in range(200)])
    holes = (slice(500, 540), slice(int(boxes[:, 1, 0].min()), int(boxes[:, 1, 1].max())))
    found = region_following(boxes, FrameRange(0, 200), HEIGHT_PX, WIDTH_PX)
    assert found == of_one_frame(*holes)


def test_a_hole_changed_in_one_frame_moves_the_region_near_it_alone() -> None:
    edited = CROSSING.copy()
    edited[200, 1, 0] -= 16
    before, after = panned(CROSSING), panned(edited)
    assert (before.height_px, before.width_px) == (after.height_px, after.width_px)
    moved = np.flatnonzero(np.array(lefts_of(before)) != lefts_of(after))
    assert len(moved) > 0
    assert 200 - 2 * STEP_FRAMES < moved.min() <= moved.max() < 200 + 2 * STEP_FRAMES


def test_the_way_does_not_depend_on_where_the_part_asked_for_starts() -> None:
    whole, part = panned(CROSSING), panned(CROSSING[37:], first_frame=37)
    inner = FrameRange(37 + 2 * STEP_FRAMES, 600)
    assert part.places_in(inner) == whole.places_in(inner)


def test_where_no_hole_is_for_long_the_region_stays_then_moves_slowly() -> None:
    lefts = lefts_of(panned(boxes_at([300] * 40 + [None] * 720 + [1500] * 40)))
    moves = np.flatnonzero(np.diff(lefts))
    assert set(lefts[:40]) == {lefts[0]} != {lefts[-1]} == set(lefts[-40:])
    assert 200 < moves.min() < moves.max() < 600
    assert np.diff(lefts).max() <= UNASKED_SPEED_PX


def test_from_shot_to_shot_the_region_jumps() -> None:
    boxes = boxes_at([100] * 50 + [1700] * 50)
    across = region_following(boxes, FrameRange(0, 100), HEIGHT_PX, WIDTH_PX)
    assert isinstance(across, Crop)
    assert across.width_px == WIDTH_PX
    apart = panned(boxes, shots=[FrameRange(0, 50), FrameRange(50, 100)])
    assert apart.width_px == 8 * GRID_PX  # 100 + 40 + 240 in the one, 220 + 240 in the other
    assert set(lefts_of(apart)[:50]) == {0}
    assert set(lefts_of(apart)[50:]) == {WIDTH_PX - 8 * GRID_PX}


@pytest.mark.parametrize("seed", range(20))
def test_whatever_way_holes_go_they_lie_in_the_region_and_it_in_the_frame(seed: int) -> None:
    random = np.random.default_rng(seed)
    sides_px = random.integers(300, 900, 2)
    frames = FrameRange(int(random.integers(0, 20)), 200)
    way = np.cumsum(np.cumsum(random.normal(0, 0.3, (len(frames), 2)), axis=0), axis=0) + sides_px / 2
    starts = np.clip(way, 0, sides_px - 8).astype(np.int64)
    stops = np.minimum(starts + random.integers(8, 40, 2), sides_px)
    boxes = np.stack([starts, stops], axis=2)
    boxes[random.random(len(frames)) < 0.3] = 0
    region = region_following(boxes, frames, *sides_px.tolist())
    if region is None:
        return
    for frame, box in zip(frames, boxes, strict=True):
        crop = region.at(frame) if isinstance(region, Pan) else region
        for place, (start, stop), side_px in zip(crop.box, box, sides_px, strict=True):
            assert 0 <= place.start < place.stop <= side_px
            assert start == stop or (place.start <= start and stop <= place.stop)
