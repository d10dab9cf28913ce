"""Which clips a folder holds, by the layouts that people have."""

import json
import os
from pathlib import Path

import pytest

from propainter.core.errors import MediaError
from propainter.media.dataset import files_of, find_clips, frame_names, read_clip_names, stamp_of


def put(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"content")
    return root


def names(root: Path) -> list[str]:
    return [clip.name for clip in find_clips(root)]


def test_in_the_youtube_vos_layout_only_the_frames_count(tmp_path: Path) -> None:
    put(tmp_path, "JPEGImages_432_240/a/00000.jpg", "JPEGImages_432_240/b/00000.jpg", "test_masks/a/00000.png")
    put(tmp_path, "Annotations/a/00000.png", "train.json", "extra/00000.png")
    assert names(tmp_path) == ["a", "b"]
    assert names(tmp_path / "JPEGImages_432_240") == ["a", "b"]


def test_davis_keeps_its_frames_one_folder_further_down(tmp_path: Path) -> None:
    put(tmp_path, "JPEGImages/480p/bear/00000.jpg", "JPEGImages/480p/dog/00000.jpg", "Annotations/480p/bear/00000.png")
    assert names(tmp_path) == ["bear", "dog"]


def test_the_released_splits_are_told_apart(tmp_path: Path) -> None:
    put(tmp_path, "train/JPEGImages/a/00000.jpg", "valid/JPEGImages/a/00000.jpg")
    assert names(tmp_path) == ["train/a", "valid/a"]


@pytest.mark.parametrize(
    "frames", [("JPEGImages/a/0.jpg", "JPEGImages_432_240/a/0.jpg"),
               ("JPEGImages/480p/a/0.jpg", "JPEGImages/1080p/a/0.jpg")],
)  # fmt: skip
def test_the_same_clips_in_two_sizes_are_refused_with_both_names(tmp_path: Path, frames: tuple[str, str]) -> None:
    put(tmp_path, *frames)
    with pytest.raises(MediaError, match=r"several sizes\. Give one"):
        find_clips(tmp_path)


def test_plain_folders_and_video_files_may_lie_at_any_depth(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/c/1.JPG", "b/film.mp4", "film.MKV", "notes.txt", "masks/film_mask.png", ".hidden/1.png")
    assert names(tmp_path) == ["a", "b/c", "b/film.mp4", "film.MKV"]


def test_a_folder_of_frames_is_itself_a_clip(tmp_path: Path) -> None:
    assert names(put(tmp_path / "bear", "1.png", "2.png")) == ["bear"]


def test_in_a_layout_a_folder_that_lost_its_frames_is_still_a_clip(tmp_path: Path) -> None:
    put(tmp_path, "JPEGImages/a/00000.jpg")
    (tmp_path / "JPEGImages" / "b").mkdir()
    assert names(tmp_path) == ["a", "b"]


def test_a_link_that_leads_back_up_ends_the_search(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert names(tmp_path) == ["a"]


def test_a_folder_without_clips_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=f"{tmp_path} holds no clips"):
        find_clips(tmp_path)
    with pytest.raises(MediaError, match="There is no folder"):
        find_clips(tmp_path / "none")


@pytest.mark.parametrize("content", [{"a": 12, "b": 3}, ["a", "b"]])
def test_a_list_of_clips_is_a_mapping_or_a_list(tmp_path: Path, content: object) -> None:
    (tmp_path / "train.json").write_text(json.dumps(content))
    assert read_clip_names(tmp_path / "train.json") == ("a", "b")


@pytest.mark.parametrize("content", ["{", "12", "[1, 2]"])
def test_what_is_no_list_of_clips_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "train.json").write_text(content)
    with pytest.raises(MediaError, match=r"train\.json"):
        read_clip_names(tmp_path / "train.json")


def test_frames_are_called_as_their_files_and_those_of_a_video_by_number(tmp_path: Path) -> None:
    put(tmp_path, "a/00005.jpg", "a/00010.jpg", "film.mp4")
    frames, video = find_clips(tmp_path)
    assert frame_names(frames, 2) == ("00005", "00010")
    assert frame_names(video, 3) == ("00000", "00001", "00002")


def test_the_stamp_covers_every_file_of_a_clip(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "a/2.png", "a/3.png")
    (clip,) = find_clips(tmp_path)
    seen = [stamp_of(files_of(clip)).text]
    os.utime(tmp_path / "a" / "2.png", ns=(1, 1))
    seen.append(stamp_of(files_of(clip)).text)
    (tmp_path / "a" / "3.png").rename(tmp_path / "a" / "4.png")
    seen.append(stamp_of(files_of(clip)).text)
    (tmp_path / "a" / "1.png").unlink()
    seen.append(stamp_of(files_of(clip)).text)
    assert len(set(seen)) == 4
    assert stamp_of(files_of(clip)).text == seen[-1]
