"""Names and sides of clips that are to be training data."""

from pathlib import Path

import pytest
from clips import draw_clip, write_frames, write_video

from propainter.core.errors import MediaError, SettingsError
from tasks.prepare_clip import Target
from tasks.prepare_layout import write_json
from tasks.prepare_survey import Survey, named_clips, survey_clips


def make_clips(root: Path, names: list[str], frames: int = 1) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_frames(root / name, draw_clip(frames, 16, 16)[0])
    return root


def survey(root: Path, share: float = 0.2) -> Survey:
    out = root.parent / "out"
    target = Target(out=out, store=out / "store", height_px=16, width_px=16, seed=0, storage="fast")
    return survey_clips(root, target, test_share=share)


def to_test_with(found: Survey) -> set[str]:
    return {job.name for job in found.due if job.split == "test"}


def test_a_clips_name_is_one_level_and_without_a_videos_suffix(tmp_path: Path) -> None:
    make_clips(tmp_path, ["day one/left", "day one/right"])
    write_video(tmp_path / "film.mkv", draw_clip(2)[0])
    assert set(named_clips(tmp_path)) == {"day one_left", "day one_right", "film"}


def test_two_clips_of_one_name_are_refused(tmp_path: Path) -> None:
    make_clips(tmp_path, ["film"])
    write_video(tmp_path / "film.mkv", draw_clip(2)[0])
    with pytest.raises(MediaError, match="would both be called film"):
        named_clips(tmp_path)


def test_a_clip_stays_on_the_side_that_it_was_listed_on(tmp_path: Path) -> None:
    names = [f"clip {number}" for number in range(12)]
    root = make_clips(tmp_path / "root", names[:4], 16)
    (first,) = to_test_with(survey(root, 1e-9))
    listed = {name: {"split": "test" if name == first else "train"} for name in names[:4]}
    write_json(tmp_path / "out" / "dataset.json", {"clips": listed})
    make_clips(root, names[4:], 16)
    assert to_test_with(survey(root, 1e-9)) == {first}
    more = to_test_with(survey(root, 0.5))
    assert more & set(names[:4]) == {first}
    assert 1 < len(more) < 9


def test_of_two_clips_one_is_tested_with_however_small_the_share_and_none_where_none_is_asked_for(
    tmp_path: Path,
) -> None:
    make_clips(tmp_path / "two", ["a", "b"], 16)
    assert len(to_test_with(survey(tmp_path / "two", 1e-9))) == 1
    assert to_test_with(survey(tmp_path / "two", 0)) == set()
    with pytest.raises(SettingsError, match=r"test_share is 1\.5"):
        survey(tmp_path / "two", 1.5)


def test_sixteen_frames_are_enough_and_fifteen_are_left_out(tmp_path: Path) -> None:
    make_clips(tmp_path / "root", ["enough"], 16)
    make_clips(tmp_path / "root", ["short"], 15)
    found = survey(tmp_path / "root")
    assert [job.name for job in found.due] == ["enough"]
    assert found.left_out == {"short": "15 frames; a training sample takes 16."}
