"""Each rule by itself, then what is given up where memory is short."""

from collections.abc import Mapping
from typing import Any

import pytest

from propainter.core.tuning import (
    NEIGHBOR_LENGTH,
    PRECISION,
    REF_STRIDE,
    RESIZE_RATIO,
    ROI,
    SUBVIDEO_LENGTH,
    Choice,
    Machine,
    Value,
    VideoMeasures,
    choose_neighbor_length,
    choose_precision,
    choose_ref_stride,
    choose_resize_ratio,
    choose_roi,
    choose_subvideo_length,
    fit_into,
    guide_choices,
)


def machine(memory_gb: float, *, has_fp16: bool = True) -> Machine:
    return Machine(memory_gb=memory_gb, has_fp16=has_fp16)


def video(**measures: Any) -> VideoMeasures:
    usual = {"frames": 240, "seconds": 10, "height_px": 480, "width_px": 640, "motion": 0.005}
    return VideoMeasures(**usual | measures)


@pytest.mark.parametrize(
    ("memory_gb", "precision", "subvideo", "neighbors", "stride"),
    [
        (6, "fp16", 30, 5, 20),
        (7.9, "fp16", 30, 5, 20),
        (8, "fp16", 60, 8, 15),
        (15.9, "fp16", 60, 8, 15),
        (16, "fp32", 80, 10, 10),
        (80, "fp32", 80, 10, 10),
    ],
)
def test_the_three_classes_of_memory_are_the_guides(
    memory_gb: float, precision: str, subvideo: int, neighbors: int, stride: int
) -> None:
    assert choose_precision(machine(memory_gb)).value == precision
    assert choose_subvideo_length(machine(memory_gb)).value == subvideo
    assert choose_neighbor_length(video(), machine(memory_gb)).value == neighbors
    assert choose_ref_stride(video(), machine(memory_gb)).value == stride


def test_a_device_without_half_precision_is_not_asked_for_it() -> None:
    choice = choose_precision(machine(4, has_fp16=False))
    assert choice.value == "fp32"
    assert choice.reason == "this device has no fp16 arithmetic"


@pytest.mark.parametrize(("frames", "memory_gb", "value"), [(300, 6, 5), (301, 6, 3), (301, 12, 6), (301, 24, 8)])
def test_over_300_frames_there_are_two_neighbours_fewer(frames: int, memory_gb: float, value: int) -> None:
    assert choose_neighbor_length(video(frames=frames), machine(memory_gb)).value == value


@pytest.mark.parametrize(("seconds", "value"), [(29, 10), (30, 8), (120, 8), (121, 5)])
def test_a_longer_video_has_fewer_neighbours(seconds: float, value: int) -> None:
    assert choose_neighbor_length(video(seconds=seconds), machine(24)).value == value


@pytest.mark.parametrize(
    ("memory_gb", "motion", "value"),
    [(24, 0.01, 5), (24, 0.0099, 10), (24, 0.0011, 10), (24, 0.001, 20), (12, 0.02, 7), (6, 0.0, 20)],
)
def test_references_are_closer_where_much_moves_and_wider_where_little_does(
    memory_gb: float, motion: float, value: int
) -> None:
    assert choose_ref_stride(video(motion=motion), machine(memory_gb)).value == value


@pytest.mark.parametrize(
    ("height_px", "width_px", "region_px", "ratio"),
    [(720, 1280, None, 1.0), (720, 1288, None, 0.8), (1080, 1920, None, 0.8), (1080, 1920, (384, 512), 1.0)],
)
def test_more_pixels_to_work_on_than_1280x720_are_scaled_down(
    height_px: int, width_px: int, region_px: tuple[int, int] | None, ratio: float
) -> None:
    measured = video(height_px=height_px, width_px=width_px, has_mask=True, region_px=region_px)
    assert choose_resize_ratio(measured).value == ratio


@pytest.mark.parametrize(
    ("has_mask", "region_px", "value", "reason"),
    [
        (False, None, "off", "no mask"),
        (True, None, "off", "most of the frame"),
        (True, (128, 192), "auto", "192x128 of 640x480"),
    ],
)
def test_the_region_is_chosen_where_the_mask_shows_one(
    has_mask: bool, region_px: tuple[int, int] | None, value: str, reason: str
) -> None:
    choice = choose_roi(video(has_mask=has_mask, region_px=region_px))
    assert choice.value == value
    assert reason in choice.reason


WHOLE_BYTES = 1000


def peak_bytes(values: Mapping[str, Value]) -> int:
    """1000 bytes with the choices for 16 GB; each thing given up takes its own share off."""
    shares = {SUBVIDEO_LENGTH: 80, NEIGHBOR_LENGTH: 10, RESIZE_RATIO: 1}
    taken = WHOLE_BYTES * (0.5 if values.get(PRECISION) == "fp16" else 1.0)
    for setting, whole in shares.items():
        taken *= float(values.get(setting, whole)) / whole
    return int(taken)


def fitted(budget_bytes: int, has_fp16: bool = True, without: str | None = None) -> dict[str, Choice]:
    roomy = machine(16, has_fp16=has_fp16)
    choices = tuple(choice for choice in guide_choices(video(), roomy) if choice.setting != without)
    return {choice.setting: choice for choice in fit_into(budget_bytes, choices, peak_bytes, roomy)}


@pytest.mark.parametrize(
    ("budget_bytes", "subvideo", "precision", "neighbors", "ratio"),
    [
        (1000, 80, "fp32", 10, 1.0),
        (999, 70, "fp32", 10, 1.0),
        (375, 30, "fp32", 10, 1.0),
        (374, 30, "fp16", 10, 1.0),
        (150, 30, "fp16", 8, 1.0),
        (56, 30, "fp16", 3, 1.0),
        (40, 30, "fp16", 3, 0.64),
        (0, 30, "fp16", 3, 0.107),
    ],
)
def test_memory_is_found_in_the_length_then_the_precision_then_the_neighbours_then_the_size(
    budget_bytes: int, subvideo: int, precision: str, neighbors: int, ratio: float
) -> None:
    chosen = fitted(budget_bytes)
    assert chosen[SUBVIDEO_LENGTH].value == subvideo
    assert chosen[PRECISION].value == precision
    assert chosen[NEIGHBOR_LENGTH].value == neighbors
    assert chosen[RESIZE_RATIO].value == pytest.approx(ratio, abs=1e-3)
    assert (chosen[REF_STRIDE].value, chosen[ROI].value) == (10, "off")


def test_what_was_given_up_says_how_much_it_would_have_taken() -> None:
    budget_bytes = 2**29
    choices = (Choice(setting=SUBVIDEO_LENGTH, value=80, reason="by the guide"),)
    (chosen,) = fit_into(budget_bytes, choices, lambda values: int(values[SUBVIDEO_LENGTH]) * 2**24, machine(16))
    assert chosen.value == 30
    assert chosen.reason == "80 would take 1.25 GB of memory, with 0.50 GB to use"


def test_what_gains_nothing_is_not_given_up() -> None:
    def by_size_alone(values: Mapping[str, Value]) -> int:
        return int(1000 * float(values[RESIZE_RATIO]))

    choices = guide_choices(video(), machine(16))
    chosen = {choice.setting: choice for choice in fit_into(700, choices, by_size_alone, machine(16))}
    assert (chosen[SUBVIDEO_LENGTH].value, chosen[PRECISION].value, chosen[NEIGHBOR_LENGTH].value) == (80, "fp32", 10)
    assert chosen[RESIZE_RATIO].value == 0.64


def test_what_is_not_among_the_choices_is_left_alone() -> None:
    chosen = fitted(300, without=SUBVIDEO_LENGTH)
    assert SUBVIDEO_LENGTH not in chosen
    assert (chosen[PRECISION].value, chosen[NEIGHBOR_LENGTH].value) == ("fp16", 6)


def test_half_precision_is_no_way_out_where_the_device_has_none() -> None:
    chosen = fitted(300, has_fp16=False)
    assert (chosen[PRECISION].value, chosen[NEIGHBOR_LENGTH].value) == ("fp32", 8)
