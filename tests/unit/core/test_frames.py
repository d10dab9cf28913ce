import numpy as np
import pytest

from propainter.core.errors import ShapeError
from propainter.core.frames import FrameRange, part_by_part, tiles_reaching


def test_tiles_cover_every_frame_once_and_see_context_only_inside_the_clip() -> None:
    tiles = FrameRange(0, 26).tiles(10, context=3)
    assert [(tile.core.start, tile.core.stop) for tile in tiles] == [(0, 10), (10, 20), (20, 26)]
    assert [(tile.window.start, tile.window.stop) for tile in tiles] == [(0, 13), (7, 23), (17, 26)]
    assert [tile.crop for tile in tiles] == [slice(0, 10), slice(3, 13), slice(3, 9)]


def test_a_clip_no_longer_than_a_tile_is_one_tile_without_context() -> None:
    (tile,) = FrameRange(0, 10).tiles(10, context=3)
    assert tile.core == tile.window == FrameRange(0, 10)


def test_an_empty_range_has_no_tiles() -> None:
    assert FrameRange(0, 0).tiles(10) == ()


def test_tiles_may_start_anywhere() -> None:
    assert [str(tile.core) for tile in FrameRange(5, 12).tiles(4)] == ["5:9", "9:12"]


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (4, 3)])
def test_a_range_that_runs_backwards_is_refused(start: int, stop: int) -> None:
    with pytest.raises(ShapeError, match=f"{start}:{stop}"):
        FrameRange(start, stop)


def test_ranges_clip_and_place_themselves_in_others() -> None:
    assert FrameRange(3, 9).clip(FrameRange(5, 20)) == FrameRange(5, 9)
    assert len(FrameRange(0, 3).clip(FrameRange(5, 9))) == 0
    assert FrameRange(5, 9).slice_in(FrameRange(3, 12)) == slice(2, 6)
    with pytest.raises(ShapeError):
        FrameRange(5, 13).slice_in(FrameRange(3, 12))


@pytest.mark.parametrize(
    ("frames", "indices"), [((0, 16), [0]), ((0, 17), [0, 1]), ((15, 17), [0, 1]), ((16, 32), [1]), ((5, 5), [])]
)
def test_tiles_reaching_names_exactly_the_tiles_that_hold_the_frames(
    frames: tuple[int, int], indices: list[int]
) -> None:
    assert list(tiles_reaching(FrameRange(*frames), 16)) == indices


def test_a_tile_sees_no_further_than_the_shot_it_lies_in() -> None:
    shots = (FrameRange(0, 12), FrameRange(12, 40))
    tiles = FrameRange(0, 40).tiles(10, context=3, shots=shots)
    assert [str(tile.window) for tile in tiles] == ["0:12", "7:23", "17:33", "27:40"]
    assert [tile.parts == (tile,) for tile in tiles] == [True, False, True, True]
    assert [(str(part.core), str(part.window)) for part in tiles[1].parts] == [("10:12", "7:12"), ("12:20", "12:23")]


def test_what_lies_in_no_shot_is_in_no_part_and_comes_out_as_zeros() -> None:
    pairs_of_two_shots = (FrameRange(0, 4), FrameRange(5, 9))
    (tile,) = FrameRange(0, 9).tiles(10, context=3, shots=pairs_of_two_shots)
    result = part_by_part(tile, lambda part: np.arange(part.core.start + 1, part.core.stop + 1))
    assert result.tolist() == [1, 2, 3, 4, 0, 6, 7, 8, 9]


def test_a_tile_between_shots_sees_itself_alone() -> None:
    tile = FrameRange(0, 9).tiles(1, context=3, shots=(FrameRange(0, 4), FrameRange(5, 9)))[4]
    assert tile.core == tile.window == FrameRange(4, 5)
