from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from propainter.core.settings import Memory
from propainter.runtime import budget
from propainter.runtime.budget import GB, Budget, budget_for, free_ram_bytes
from propainter.runtime.footprint import Footprint, Portion, halved

# With the margin of a tenth: 110 bytes in RAM for either of two segments, 110 for each item, 11 for each frame kept.
NEEDS = Footprint(
    stage="refine_frames", host_bytes=100, item_bytes=100, kept_bytes=10, most=Portion(at_once=8, kept=40)
)  # fmt: skip


@pytest.mark.parametrize(
    ("ram_bytes", "expected"),
    [
        (10_000, Portion(at_once=8, kept=40)),
        (1_215, Portion(at_once=8, kept=10)),
        (1_105, Portion(at_once=8)),
        (610, Portion(at_once=2, kept=10)),
        (335, Portion(at_once=1)),
        (325, None),
    ],
)
def test_the_portion_is_halved_until_it_fits_and_frames_are_kept_in_what_that_leaves(
    ram_bytes: int, expected: Portion | None
) -> None:
    assert Budget(ram_bytes=ram_bytes, device_bytes=None).largest_portion(NEEDS) == expected


def test_a_budget_asks_for_nothing_smaller_than_the_least_portion() -> None:
    needs = replace(NEEDS, least=Portion(at_once=8))
    assert Budget(ram_bytes=1_105, device_bytes=None).largest_portion(needs) == Portion(at_once=8)
    assert Budget(ram_bytes=1_099, device_bytes=None).largest_portion(needs) is None


def test_on_a_gpu_its_memory_and_the_machines_are_two_limits() -> None:
    assert Budget(ram_bytes=220, device_bytes=335).largest_portion(NEEDS) == Portion(at_once=2, kept=10)
    assert Budget(ram_bytes=219, device_bytes=335).largest_portion(NEEDS) is None


def test_weights_count_on_the_device() -> None:
    needs = Footprint(stage="estimate_flow", host_bytes=0, item_bytes=100, weights_bytes=1000)
    assert Budget(ram_bytes=0, device_bytes=1110).largest_portion(needs) == Portion()
    assert Budget(ram_bytes=0, device_bytes=1109).largest_portion(needs) is None


def test_portions_shrink_to_the_smallest_and_no_further() -> None:
    portion: Portion | None = Portion(at_once=6, kept=3)
    seen = []
    while portion is not None:
        seen.append((portion.at_once, portion.kept))
        portion = halved(portion)
    assert seen == [(6, 3), (3, 3), (1, 3), (1, 1), (1, 0)]


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "free_ram_bytes", lambda: 16 * GB)
    monkeypatch.setattr(budget, "free_gpu_bytes", lambda _: 8 * GB)


@pytest.mark.usefixtures("free")
def test_a_budget_is_a_share_of_what_is_free_and_devices_share_the_ram() -> None:
    half = Memory(fraction=0.5)
    assert budget_for("cpu", half) == Budget(ram_bytes=8 * GB, device_bytes=None)
    assert budget_for("cuda:0", half, sharing=4) == Budget(ram_bytes=2 * GB, device_bytes=4 * GB)


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize(("gpu_gb", "device_gb"), [(3, 3), (100, 4)])
def test_a_gpu_gives_no_more_than_was_said_and_no_more_than_is_free(gpu_gb: float, device_gb: int) -> None:
    found = budget_for("cuda:0", Memory(fraction=0.5, gpu_gb=gpu_gb))
    assert found.device_bytes == device_gb * GB


@pytest.mark.parametrize(
    ("limit", "free_bytes"), [("max", 1000), ("500", 500 - 300 + 80), ("5000", 1000), ("200", 0)]
)  # fmt: skip
def test_what_is_free_is_the_machines_or_what_is_left_of_the_containers_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, free_bytes: int
) -> None:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text("300\n")
    (tmp_path / "memory.stat").write_text("anon 200\ninactive_file 80\n")
    monkeypatch.setattr(budget, "_CGROUP", tmp_path)
    monkeypatch.setattr(budget.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    assert free_ram_bytes() == free_bytes


def test_outside_a_container_the_machines_free_memory_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_CGROUP", tmp_path)
    monkeypatch.setattr(budget.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    assert free_ram_bytes() == 1000
