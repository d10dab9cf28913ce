"""Memory that runs out although the plan said it would not: the portion halves, once for all."""

from collections.abc import Callable

import pytest
import torch

from propainter.core.errors import MemoryBudgetError
from propainter.runtime.budget import Budget
from propainter.runtime.footprint import Footprint, Portion
from propainter.runtime.memory_plan import MemoryPlan

NEEDS = Footprint(stage="refine_frames", host_bytes=0, item_bytes=100, kept_bytes=1, most=Portion(at_once=8, kept=4))
PLENTY = Budget(ram_bytes=10_000, device_bytes=None)

Work = Callable[[Portion], int]


def holding(at_most: int, error: BaseException, tried: list[Portion]) -> Work:
    """Work that gets no more memory than for so many items at once."""

    def work(portion: Portion) -> int:
        tried.append(portion)
        if portion.at_once > at_most:
            raise error
        return portion.at_once

    return work


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:116] DefaultCPUAllocator: not enough memory: you tried to"),
        RuntimeError("[enforce fail] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8"),
    ],
)
def test_out_of_memory_halves_the_portion_says_so_and_the_next_segment_begins_there(error: BaseException) -> None:
    plan, tried = MemoryPlan(), list[Portion]()
    result, notices = plan.run(holding(4, error, tried), NEEDS, PLENTY, "cpu")
    assert result == 4
    assert notices == ("refine_frames ran out of memory on cpu: from now on it works on half as much at once.",)
    assert tried == [Portion(at_once=8, kept=4), Portion(at_once=4, kept=4)]
    assert plan.run(holding(4, error, tried), NEEDS, PLENTY, "cpu") == (4, ())
    assert len(tried) == 3


def test_it_halves_as_often_as_it_takes_and_says_so_each_time() -> None:
    tried: list[Portion] = []
    result, notices = MemoryPlan().run(holding(1, MemoryError(), tried), NEEDS, PLENTY, "cpu")
    assert (result, len(notices)) == (1, 3)


def test_what_one_device_and_stage_taught_is_not_held_against_others() -> None:
    plan = MemoryPlan()
    plan.run(holding(1, MemoryError(), []), NEEDS, PLENTY, "cpu")
    flow = Footprint(stage="estimate_flow", host_bytes=0, item_bytes=100, most=Portion(at_once=8))
    assert plan.portion(flow, PLENTY, "cpu").at_once == 8
    assert plan.portion(NEEDS, Budget(ram_bytes=10_000, device_bytes=10_000), "cuda:0").at_once == 8


def test_another_error_passes_and_teaches_nothing() -> None:
    plan, tried = MemoryPlan(), list[Portion]()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        plan.run(holding(4, RuntimeError("mat1 and mat2 shapes cannot be multiplied"), tried), NEEDS, PLENTY, "cpu")
    assert len(tried) == 1
    assert plan.portion(NEEDS, PLENTY, "cpu") == NEEDS.most


def test_the_smallest_portion_out_of_memory_is_one_line_with_numbers_and_a_way_out() -> None:
    with pytest.raises(MemoryBudgetError, match=r"refine_frames.*on cpu.*0\.0 MB.*--resize-ratio") as raised:
        MemoryPlan().run(holding(0, MemoryError(), []), NEEDS, PLENTY, "cpu")
    assert "\n" not in str(raised.value)


def test_a_segment_whose_memory_others_hold_by_now_is_tried_with_the_smallest_portion() -> None:
    nothing_left = Budget(ram_bytes=0, device_bytes=None)
    assert MemoryPlan().run(lambda portion: portion, NEEDS, nothing_left, "cpu") == (Portion(), ())
