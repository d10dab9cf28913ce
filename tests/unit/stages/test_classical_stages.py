"""The four middle stages on the engine without weights, on clips that are drawn: a textured plane, a moving camera."""

import weakref
from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from propainter.ops.propagation import HOLE, KNOWN, KNOWN_GREY
from propainter.stages.complete_flow import complete_flow
from propainter.stages.estimate_flow import estimate_flow
from propainter.stages.propagate_pixels import propagate_pixels
from propainter.stages.refine_frames import refine_frames

HEIGHT_PX, WIDTH_PX = 96, 128
FRAMES = 14


def textured(height_px: int, width_px: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(7)
    total = np.zeros((height_px, width_px, 3), np.float32)
    for size_px, gain in ((4, 25), (8, 35), (24, 60)):
        coarse = noise.normal(size=(height_px // size_px + 2, width_px // size_px + 2, 3)).astype(np.float32)
        total += gain * cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    return np.clip(total + 128, 0, 255).astype(np.uint8)


def panning(step_px: int, count: int = FRAMES) -> NDArray[np.uint8]:
    plane = textured(HEIGHT_PX, WIDTH_PX + count * step_px)
    return np.stack([plane[:, t * step_px : t * step_px + WIDTH_PX] for t in range(count)])


def square_hole(step_px: int, count: int = FRAMES, size_px: int = 20) -> NDArray[np.bool_]:
    hole = np.zeros((count, HEIGHT_PX, WIDTH_PX), np.bool_)
    for t in range(count):
        hole[t, 36 : 36 + size_px, 30 + t * step_px : 30 + t * step_px + size_px] = True
    return hole


def with_object(frames: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Something flat and bright, four pixels inside the hole's outline, as a dilated mask leaves it."""
    out = frames.copy()
    for frame, inside in zip(out, hole, strict=True):
        frame[cv2.erode(inside.astype(np.uint8), np.ones((9, 9))).astype(bool)] = (250, 240, 60)
    return out


def psnr_db(frames: NDArray[np.uint8], truth: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    return float(10 * np.log10(255**2 / np.square(frames.astype(float) - truth)[where].mean()))


def inpaint(frames: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return refine(propagate(frames, hole, complete_flow(estimate_flow(frames), hole)))


def propagate(
    frames: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    flow: NDArray[np.float32],
    engine: Literal["classical", "propainter"] = "classical",
) -> NDArray[np.uint8]:
    return np.stack([*propagate_pixels(frames, hole, flow, engine=engine)])


def refine(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([*refine_frames(packed)])


def test_flow_of_a_pan_is_the_pan_both_ways() -> None:
    flow = estimate_flow(panning(3, count=3))
    assert flow.shape == (2, 2, 2, HEIGHT_PX, WIDTH_PX)
    assert flow.dtype == np.float32
    inner = flow[..., 16:-16, 16:-16]
    assert np.median(inner[:, 0, 0]) == pytest.approx(-3, abs=0.1)
    assert np.median(inner[:, 1, 0]) == pytest.approx(3, abs=0.1)


def test_one_frame_has_no_flow() -> None:
    assert estimate_flow(panning(1, count=1)).shape == (0, 2, 2, HEIGHT_PX, WIDTH_PX)


def test_completion_finds_a_zoom_behind_the_hole_and_leaves_known_flow_alone() -> None:
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX].astype(np.float32)
    zoom = np.stack([0.03 * (x - 60), 0.03 * (y - 40)])
    truth = np.stack([zoom, -zoom])[None]
    hole = square_hole(2, count=2)
    flow = truth.copy()
    for direction in (0, 1):
        flow[0, direction][:, hole[direction]] = 9
    completed = complete_flow(flow, hole)
    assert np.abs(completed - truth).max() < 0.05
    for direction in (0, 1):
        assert (completed[0, direction][:, ~hole[direction]] == flow[0, direction][:, ~hole[direction]]).all()


def test_completion_does_not_depend_on_what_was_completed_before() -> None:
    flow = estimate_flow(panning(2, count=6))
    hole = square_hole(1, count=6)
    cv2.setRNGSeed(12345)
    whole = complete_flow(flow, hole)
    assert (complete_flow(flow[3:], hole[3:]) == whole[3:]).all()


@pytest.mark.parametrize("known_px", [0, 3])
def test_flow_without_surroundings_becomes_finite(known_px: int) -> None:
    flow = np.full((1, 2, 2, 32, 32), 5, np.float32)
    hole = np.ones((2, 32, 32), np.bool_)
    hole[:, 0, :known_px] = False
    completed = complete_flow(flow, hole)
    assert (completed[:, :, :, hole[0]] == (0 if known_px == 0 else completed[0, 0, 0, -1, -1])).all()
    assert np.isfinite(completed).all()


def test_a_moving_object_is_replaced_by_what_other_frames_show() -> None:
    truth, hole = panning(1), square_hole(4)
    result = inpaint(with_object(truth, hole), hole)
    assert psnr_db(result, truth, hole) > 28
    assert (result[~hole] == truth[~hole]).all()


def test_a_still_camera_gives_the_background_back() -> None:
    truth, hole = panning(0), square_hole(4)
    assert psnr_db(inpaint(with_object(truth, hole), hole), truth, hole) > 28


def test_trajectories_are_sharper_than_frame_to_frame() -> None:
    plane = textured(HEIGHT_PX, WIDTH_PX + 40)
    truth = np.stack(
        [
            cv2.warpAffine(plane, np.array([[1, 0, -0.4 * t], [0, 1, 0.3 * t]]), (WIDTH_PX, HEIGHT_PX),
                           borderMode=cv2.BORDER_REFLECT)
            for t in range(FRAMES)
        ]
    )  # fmt: skip
    hole = square_hole(4)
    frames = with_object(truth, hole)
    flow = complete_flow(estimate_flow(frames), hole)
    scores = {}
    engines: tuple[Literal["classical", "propainter"], ...] = ("classical", "propainter")
    for engine in engines:
        result = refine(propagate(frames, hole, flow, engine))
        scores[engine] = psnr_db(result, truth, hole)
    assert scores["classical"] > scores["propainter"] + 3


def test_propagation_holds_few_frames_at_a_time() -> None:
    frames, hole = panning(1), square_hole(4)
    held = most_held = 0

    class OneByOne(Sequence[NDArray[np.uint8]]):
        def __len__(self) -> int:
            return FRAMES

        def __getitem__(self, t: Any) -> Any:
            nonlocal held, most_held
            frame = frames[t].copy()
            held += 1
            most_held = max(most_held, held)
            weakref.finalize(frame, let_go)
            return frame

    def let_go() -> None:
        nonlocal held
        held -= 1

    flow = complete_flow(estimate_flow(frames), hole)
    packed = np.stack([*propagate_pixels(OneByOne(), hole, flow)])
    assert (packed == propagate(frames, hole, flow)).all()
    assert most_held <= 3


def test_a_change_of_exposure_leaves_no_seam() -> None:
    truth, hole = panning(1), square_hole(4)
    gain = 1 + 0.03 * np.arange(FRAMES)[:, None, None, None]
    truth = np.clip(truth * 0.6 * gain, 0, 255).astype(np.uint8)
    result = inpaint(with_object(truth, hole), hole).astype(int)
    offset = (result - truth).astype(float)
    per_frame = [offset[t][hole[t]].mean() for t in range(FRAMES)]
    # Uncorrected, the first and last frames are 6 to 7 grey levels off.
    assert np.abs(per_frame).max() < 1


def test_a_hole_that_nothing_ever_uncovers_stays_a_hole_for_refinement() -> None:
    frames, hole = panning(0), square_hole(0)
    packed = propagate(frames, hole, complete_flow(estimate_flow(frames), hole))
    assert (packed[..., 3] == np.where(hole, HOLE, KNOWN)).all()
    assert (packed[..., :3][~hole] == frames[~hole]).all()


def test_refinement_fills_holes_and_grey_smoothly_and_touches_nothing_else() -> None:
    x = np.arange(WIDTH_PX, dtype=np.uint8)
    frames = np.broadcast_to(x[None, None, :, None], (2, HEIGHT_PX, WIDTH_PX, 3))
    hole = square_hole(0, count=2)
    code = np.where(hole, HOLE, KNOWN).astype(np.uint8)
    code[1][hole[1]] = KNOWN_GREY
    packed = np.concatenate([np.where(hole[..., None], 200, frames), code[..., None]], axis=-1).astype(np.uint8)
    refined = refine(packed)
    assert np.abs(refined.astype(int) - frames).max() <= 2
    assert (refined[~hole] == frames[~hole]).all()


def test_a_frame_that_is_all_hole_shows_the_nearest_known_one() -> None:
    packed = np.zeros((3, 8, 8, 4), np.uint8)
    packed[0, ..., :3], packed[2, ..., :3], packed[1, ..., 3] = 10, 90, HOLE
    assert (refine(packed)[1] == 10).all()
    packed[..., 3] = HOLE
    assert (refine(packed) == 128).all()


def test_one_frame_and_all_hole_clips_pass_through_every_stage() -> None:
    one = panning(0, count=1)
    assert inpaint(one, square_hole(0, count=1)).shape == one.shape
    some = panning(2, count=4)
    assert inpaint(some, np.ones(some.shape[:3], np.bool_)).shape == some.shape
    assert (inpaint(some, np.zeros(some.shape[:3], np.bool_)) == some).all()


def test_the_result_is_the_same_on_one_thread_and_on_two() -> None:
    frames, hole = panning(1, count=5), square_hole(4, count=5)
    before = cv2.getNumThreads()
    results = []
    for threads in (1, 2):
        cv2.setNumThreads(threads)
        results.append(inpaint(frames, hole))
    cv2.setNumThreads(before)
    assert (results[0] == results[1]).all()
