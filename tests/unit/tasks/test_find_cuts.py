"""Which frames are looked at for cuts, and that they are looked at once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import draw_clip, write_masks, write_video
from numpy.typing import NDArray

from cache.store import Store
from flows.planning import plan_stages
from propainter.core.frames import FrameRange
from propainter.core.settings import ExtractFrames, Settings
from propainter.media.cuts import CutFinder
from propainter.media.encode_spec import plan_encoding
from tasks.find_cuts import find_cuts
from tasks.inspect_inputs import inspect_inputs
from tasks.plan import Inputs

CUT, FRAMES = 160, 240
SETTINGS = Settings(engine="classical")

Find = Callable[[Inputs], tuple[int, ...]]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shots."""
    frames, _ = draw_clip(20, 32, 48)
    still = np.repeat(frames, FRAMES // 20, axis=0)
    still[CUT:] = still[CUT:, ..., ::-1] // 4  # dark, and blue where it was red
    return write_video(tmp_path_factory.mktemp("video") / "clip.mkv", still)


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.find_cuts.BLOCK_PAIRS", 64)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ranges of pairs that were not known yet."""
    ranges: list[str] = []
    find = CutFinder.find

    def noted(self: CutFinder, pairs: FrameRange) -> tuple[int, ...]:
        ranges.append(str(pairs))
        return find(self, pairs)

    monkeypatch.setattr(CutFinder, "find", noted)
    return ranges


def inputs_of(video: Path, holed: range, folder: Path, settings: Settings = SETTINGS) -> Inputs:
    holes: NDArray[np.bool_] = np.zeros((FRAMES, 32, 48), bool)
    holes[holed, 8:16, 8:16] = True
    return inspect_inputs(video, write_masks(folder, holes), settings)


def cuts_of(inputs: Inputs, store: Store) -> tuple[int, ...]:
    encode = plan_encoding(inputs.info, SETTINGS.encode_video, inputs.geometry, Path("out.mp4"))
    return find_cuts(inputs, plan_stages(inputs, SETTINGS, encode, None), 24.0, store, announce=lambda frames: None)


def test_cuts_are_looked_for_once_where_holes_reach(video: Path, tmp_path: Path, looked_at: list[str]) -> None:
    store = Store(tmp_path / "cache")
    inputs = inputs_of(video, range(100, 110), tmp_path / "masks")
    assert cuts_of(inputs, store) == (CUT,)
    assert looked_at == ["64:128", "128:192"]
    assert cuts_of(replace(inputs, video=tmp_path / "moved elsewhere.mkv"), store) == (CUT,)
    assert len(looked_at) == 2


def test_a_shot_without_a_hole_is_not_looked_at(video: Path, tmp_path: Path, looked_at: list[str]) -> None:
    store = Store(tmp_path / "cache")
    assert cuts_of(inputs_of(video, range(10), tmp_path / "masks"), store) == ()
    assert looked_at == ["0:64", "64:128"]  # propagation sees frames up to 90
    assert cuts_of(inputs_of(video, range(0), tmp_path / "none"), store) == ()
    assert len(looked_at) == 2


def test_cuts_that_no_hole_reaches_are_none_of_its_cuts(video: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    assert cuts_of(inputs_of(video, range(FRAMES), tmp_path / "all"), store) == (CUT,)
    assert cuts_of(inputs_of(video, range(10), tmp_path / "first"), store) == ()


def test_cuts_are_counted_from_the_first_frame_asked_for(video: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, extract_frames=ExtractFrames(start=CUT - 8))
    inputs = inputs_of(video, range(FRAMES), tmp_path / "masks", settings)
    assert cuts_of(inputs, Store(tmp_path / "cache")) == (8,)


def test_a_broken_record_is_made_anew(video: Path, tmp_path: Path, looked_at: list[str]) -> None:
    store = Store(tmp_path / "cache")
    inputs = inputs_of(video, range(10), tmp_path / "masks")
    cuts_of(inputs, store)
    (record,) = (tmp_path / "cache" / "cuts").glob("*/*/0")
    record.write_bytes(b"[50]")
    assert cuts_of(inputs, store) == ()
    assert looked_at == ["0:64", "64:128", "0:64"]
