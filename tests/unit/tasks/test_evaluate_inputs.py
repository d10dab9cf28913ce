from pathlib import Path

import pytest

from propainter.core.errors import MediaError
from tasks.evaluate_inputs import pair_clips


def make(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def test_clips_are_paired_by_name_whatever_they_are_made_of(tmp_path: Path) -> None:
    truth = make(tmp_path / "truth", "JPEGImages/480p/bear/0.jpg", "JPEGImages/480p/cat/0.jpg")
    results = make(tmp_path / "results", "bear/0.png", "cat_inpainted.mp4")
    masks = make(tmp_path / "masks", "bear/0.png", "cat_mask.png")
    pairs = pair_clips(truth, results=results, masks=masks)
    assert [(clip.name, clip.truth.name, clip.masks) for clip in pairs.clips] == [
        ("bear", "bear", masks / "bear"),
        ("cat", "cat", masks / "cat_mask.png"),
    ]
    assert pairs.results == {"bear": results / "bear", "cat": results / "cat_inpainted.mp4"}


def test_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    truth = make(tmp_path / "truth", "a.mp4", "b.mp4", "c.mp4")
    results = make(tmp_path / "results", "a.mp4", "b.mp4", "z.mp4")
    masks = make(tmp_path / "masks", "a.png", "c.png")
    pairs = pair_clips(truth, results=results, masks=masks)
    assert [clip.name for clip in pairs.clips] == ["a"]
    assert pairs.left_out == ("b", "c")
    assert pairs.astray == ("z",)


def test_one_clip_needs_no_name(tmp_path: Path) -> None:
    truth, results = make(tmp_path / "holiday", "0.png"), make(tmp_path, "clean.mp4") / "clean.mp4"
    masks = make(tmp_path / "logo", "0.png")
    pairs = pair_clips(truth, results=results, masks=masks)
    assert [(clip.name, clip.masks) for clip in pairs.clips] == [("holiday", masks)]
    assert pairs.results == {"holiday": results}


def test_a_folder_of_masks_beside_its_clip_is_no_clip(tmp_path: Path) -> None:
    root = make(tmp_path, "bear/0.png", "bear_mask/0.png", "death_mask/0.png")
    assert [clip.name for clip in pair_clips(root, results=None, masks=None).clips] == ["bear", "death_mask"]


def test_where_nothing_goes_together_it_is_said_at_once(tmp_path: Path) -> None:
    truth, results = make(tmp_path / "truth", "a.mp4", "b.mp4"), make(tmp_path / "results", "c.mp4")
    with pytest.raises(MediaError, match=r"No clip of .*truth is in .*results by its name"):
        pair_clips(truth, results=results, masks=None)
    with pytest.raises(MediaError, match="no masks"):
        pair_clips(truth, results=None, masks=tmp_path / "nowhere")
