"""What fills a shot depends on nothing in the next one, to the bit, with either engine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import draw_clip, write_masks, write_video
from numpy.typing import NDArray
from synthetic_weights import write_weights

from flows.inpaint import TASKS
from flows.planning import demand_of, prepare
from propainter.core.frames import FrameRange
from propainter.core.settings import EstimateFlow, RefineFrames, Settings
from tasks.inspect_inputs import inspect_inputs
from tasks.output import Output

CUT = 4


Clip = tuple[NDArray[np.uint8], NDArray[np.bool_]]
"""Frames and holes."""


def two_clips(height_px: int, width_px: int) -> tuple[Clip, Clip]:
    """Of one first shot and two second ones: dark, and upside down in negative, its holes upside down too."""
    frames, holes = draw_clip(2 * CUT, height_px, width_px)
    dark, other, other_holes = frames.copy(), frames.copy(), holes.copy()
    dark[CUT:] = frames[CUT:, ..., ::-1] // 4
    other[CUT:] = 255 - frames[CUT:, ::-1]
    other_holes[CUT:] = holes[CUT:, ::-1]
    return (dark, holes), (other, other_holes)


def filled(folder: Path, frames: NDArray[np.uint8], holes: NDArray[np.bool_], settings: Settings) -> NDArray[Any]:
    """What refinement gives for the first shot of a clip of two."""
    folder.mkdir()
    video, masks = write_video(folder / "clip.mkv", frames), write_masks(folder / "masks", holes)
    run = prepare(
        inspect_inputs(video, masks, settings), Output(path=folder / "out.mkv"), settings,
        cache=folder / "cache", devices="cpu", weights=folder.parent / "weights", verify_weights=False,
    )  # fmt: skip
    assert run.inputs.cuts == (() if settings.cuts == "off" else (CUT,))
    for stage, index in demand_of(run).to_compute:
        if stage != "encode_video":
            TASKS[stage].fn(run, index)
    return run.store.read(run.plan["refine_frames"].key, FrameRange(0, CUT))


def test_the_classical_filling_of_a_shot_is_the_same_bits_whatever_the_next_shot_holds(tmp_path: Path) -> None:
    settings = Settings(engine="classical")
    (dark, holes), other = two_clips(48, 64)
    first = filled(tmp_path / "dark", dark, holes, settings)
    np.testing.assert_array_equal(filled(tmp_path / "other", *other, settings), first)
    as_one = filled(tmp_path / "as_one", dark, holes, replace(settings, cuts="off"))
    assert (as_one != first).any(), "there was something to keep apart"


@pytest.mark.slow
def test_the_learned_filling_of_a_shot_is_the_same_bits_whatever_the_next_shot_holds(tmp_path: Path) -> None:
    write_weights(tmp_path / "weights")
    settings = Settings(
        engine="propainter",
        estimate_flow=EstimateFlow(raft_iter=1),
        refine_frames=RefineFrames(neighbor_length=4, ref_stride=2),
    )
    first, second = (
        filled(tmp_path / name, *clip, settings)
        for name, clip in zip(("dark", "other"), two_clips(128, 128), strict=True)
    )
    np.testing.assert_array_equal(second, first)
