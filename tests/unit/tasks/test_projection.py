"""What memory a run is said to need, and what is refused before it begins."""

import re
from dataclasses import replace

import pytest

from propainter.core.errors import MemoryBudgetError
from propainter.core.geometry import Geometry
from propainter.core.settings import CompleteFlow, Engine, ExtractFrames, Memory, Settings
from propainter.runtime.budget import Budget
from tasks.memory import Job
from tasks.projection import MEMORY_OF, project, require_memory

MB = 10**6
SOURCE_PX = (486, 854)  # floored to 480x848, so that scaling from either is not the same


def job_of(settings: Settings, device: str = "cpu", frames: int = 400) -> Job:
    geometry = Geometry.plan(*SOURCE_PX, resize_ratio=settings.extract_frames.resize_ratio)
    sides_px = {"height_px": geometry.height_px, "width_px": geometry.width_px}
    return Job(frames=frames, **sides_px, settings=settings, device=device)


def refused(job: Job, budget: Budget) -> str:
    with pytest.raises(MemoryBudgetError) as raised:
        require_memory(job, budget, MEMORY_OF)
    return str(raised.value)


def ram(megabytes: int) -> Budget:
    return Budget(ram_bytes=megabytes * MB, device_bytes=None)


@pytest.mark.parametrize(
    ("engine", "ratio", "budget", "named"),
    [
        ("classical", 1.0, ram(400), {"resize-ratio"}),
        ("classical", 1.0, ram(2400), {"resize-ratio", "subvideo-length"}),
        ("classical", 0.55, ram(800), {"resize-ratio", "subvideo-length"}),
        ("propainter", 1.0, ram(1000), {"resize-ratio"}),
        ("propainter", 0.55, ram(1105), {"resize-ratio", "subvideo-length"}),
        ("propainter", 1.0, Budget(ram_bytes=9000 * MB, device_bytes=900 * MB), {"resize-ratio"}),
    ],
)
def test_every_setting_that_a_refusal_names_fits_when_it_is_given(
    engine: Engine, ratio: float, budget: Budget, named: set[str]
) -> None:
    settings = Settings(engine=engine, extract_frames=ExtractFrames(resize_ratio=ratio))
    device = "cpu" if budget.device_bytes is None else "cuda:0"
    said = refused(job_of(settings, device), budget)
    assert "\n" not in said
    given = dict(re.findall(r"--(resize-ratio|subvideo-length) ([\d.]+\d)", said))
    assert given.keys() == named
    if "resize-ratio" in given:
        extract = ExtractFrames(resize_ratio=float(given["resize-ratio"]))
        require_memory(job_of(replace(settings, extract_frames=extract), device), budget, MEMORY_OF)
    if "subvideo-length" in given:
        complete = CompleteFlow(subvideo_length=int(given["subvideo-length"]))
        require_memory(job_of(replace(settings, complete_flow=complete), device), budget, MEMORY_OF)


def test_a_refusal_names_the_stage_both_numbers_the_size_and_the_device() -> None:
    said = refused(job_of(Settings(engine="propainter")), ram(200))
    assert re.match(
        r"estimate_flow needs [\d.]+ GB of RAM at 848x480 on cpu, and 190\.7 MB of RAM may be used\. Give", said
    )


def test_a_size_that_the_networks_refuse_is_not_offered() -> None:
    # 555 MB hold the weights and 32x32 frames, but RAFT takes no side under 128.
    assert "--resize-ratio" not in refused(job_of(Settings(engine="propainter")), ram(555))


def test_a_limit_that_the_user_set_is_named_as_a_way_out() -> None:
    limited = Settings(engine="propainter", memory=Memory(gpu_gb=0.4))
    said = refused(job_of(limited, "cuda:0"), Budget(ram_bytes=9000 * MB, device_bytes=400 * MB))
    assert said.endswith("a larger --memory-fraction or --gpu-memory.")


def test_only_what_is_still_to_be_computed_is_asked_to_fit() -> None:
    job = job_of(Settings(engine="classical"))
    require_memory(job, ram(400), ["estimate_flow"])
    require_memory(job, ram(0), [])


@pytest.mark.parametrize("engine", ["classical", "propainter"])
def test_a_longer_video_needs_no_more(engine: Engine) -> None:
    settings = Settings(engine=engine)
    short, long = (project(job_of(settings, frames=frames), ram(20_000)) for frames in (400, 40_000))
    assert short == long


def test_a_smaller_budget_gives_smaller_tiles_and_says_what_they_need() -> None:
    job = job_of(Settings(engine="propainter"), "cuda:0")
    small, large = (
        project(job, Budget(ram_bytes=9000 * MB, device_bytes=megabytes * MB)) for megabytes in (2500, 24_000)
    )
    for smaller, larger in zip(small, large, strict=True):
        assert smaller.fits
        assert larger.fits
        assert smaller.device_bytes <= 2500 * MB
    assert [projection.portion.at_once for projection in small] < [projection.portion.at_once for projection in large]
    assert small[-1].portion.kept < large[-1].portion.kept
