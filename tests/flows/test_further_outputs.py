"""--save-frames and --save-masked: what they hold, and what they cost a second time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import draw_clip, read_frames, write_masks, write_video

from cache.journal import committed_counts
from flows.inpaint import inpaint
from propainter.core.errors import OutputError
from propainter.core.frames import FrameRange
from propainter.media.source import open_source

FRAMES = 12


@pytest.fixture
def clip(tmp_path: Path) -> dict[str, Any]:
    frames, holes = draw_clip(FRAMES)
    write_video(tmp_path / "clip.mkv", frames)
    write_masks(tmp_path / "masks", holes)
    return {"frames": frames, "holes": holes, "folder": tmp_path}


def run(clip: dict[str, Any], name: str, **more: Any) -> dict[str, Any]:
    folder = clip["folder"]
    settings: dict[str, Any] = {"engine": "classical", "masks": {"dilation": 0}}
    if name.endswith(".mkv"):
        settings["encode_video"] = {"codec": "ffv1"}
    return inpaint(
        str(folder / "clip.mkv"), str(folder / "masks"), str(folder / name), settings, cache=str(folder / "cache"),
        devices="cpu", **more,
    )  # fmt: skip


def shown(path: Path) -> np.ndarray[Any, Any]:
    if path.is_dir():
        return read_frames(path)
    with open_source(path) as video:
        return video.read(FrameRange(0, FRAMES))


def under_green(clip: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The source where there is no hole; inside, 60 % green and 40 % of it."""
    painted = np.rint(clip["frames"] * 0.4 + np.array((0, 153, 0)))
    return np.where(clip["holes"][..., None], painted, clip["frames"])


@pytest.mark.usefixtures("prefect_server")
def test_the_frames_are_the_results_and_the_masked_video_is_the_source_under_green(clip: dict[str, Any]) -> None:
    result = run(clip, "out.mkv", save_frames=True, save_masked=True)
    saved = clip["folder"] / "out.mkv.report"
    assert [path.name for path in sorted((saved / "frames").iterdir())] == [f"{n:05}.png" for n in range(FRAMES)]
    np.testing.assert_array_equal(shown(saved / "frames"), shown(clip["folder"] / "out.mkv"))
    np.testing.assert_array_equal(shown(saved / "masked.mkv"), under_green(clip))
    assert Path(result["report"]).read_text().count("Also written: ") == 2
    # The result is what it is without them.
    before = (clip["folder"] / "out.mkv").read_bytes()
    run(clip, "out.mkv")
    assert (clip["folder"] / "out.mkv").read_bytes() == before


@pytest.mark.usefixtures("prefect_server")
def test_a_folder_of_frames_gets_its_masked_frames_and_no_second_folder_of_them(clip: dict[str, Any]) -> None:
    with pytest.raises(OutputError, match=r"out is a folder of frames already\. Leave out --save-frames"):
        run(clip, "out", save_frames=True)
    assert not (clip["folder"] / "out").exists()
    run(clip, "out", save_masked=True)
    np.testing.assert_array_equal(shown(clip["folder"] / "out.report" / "masked"), under_green(clip))


@pytest.mark.usefixtures("prefect_server")
def test_what_was_encoded_for_them_is_not_encoded_again_and_fresh_encodes_all_of_it(
    clip: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("tasks.encode_video.write_folder", full)
        with pytest.raises(OutputError, match="full"):
            run(clip, "out.mkv", save_frames=True, save_masked=True)
    assert (clip["folder"] / "out.mkv").exists()
    assert not (clip["folder"] / "out.mkv.report" / "frames").exists()
    run(clip, "out.mkv", save_frames=True, save_masked=True)
    counts = committed_counts(clip["folder"] / "cache")
    assert set(counts.values()) == {1}
    assert len([key for key in counts if key[0] == "encode_video"]) == 3

    run(clip, "out.mkv", save_frames=True, save_masked=True, fresh=True)
    assert set(committed_counts(clip["folder"] / "cache").values()) == {2}


@pytest.mark.usefixtures("prefect_server")
def test_what_an_earlier_run_saved_goes_when_a_newer_result_comes_and_not_before(
    clip: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def saved() -> set[str]:
        return {path.name for path in (clip["folder"] / "out.mkv.report").iterdir()}

    def full(*_: object) -> None:
        raise OutputError("the disk is full")

    run(clip, "out.mkv", save_frames=True, save_masked=True)
    with monkeypatch.context() as patch:
        patch.setattr("tasks.encode_video.write_video", full)
        with pytest.raises(OutputError, match="full"):
            run(clip, "out.mkv")
    assert saved() == {"manifest.json", "report.html", "frames", "masked.mkv"}
    run(clip, "out.mkv", save_masked=True)
    assert saved() == {"manifest.json", "report.html", "masked.mkv"}
    run(clip, "out.mkv")
    assert saved() == {"manifest.json", "report.html"}
