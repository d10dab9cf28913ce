from pathlib import Path

import av
import pytest
from encoded_clips import scene, sound_packets, write_clip
from PIL import Image

from propainter.core.errors import MediaError
from propainter.media.source import open_source


def text(folder: Path) -> Path:
    (folder / "clip.mp4").write_text("not a video\n" * 50)
    return folder / "clip.mp4"


def empty_file(folder: Path) -> Path:
    (folder / "clip.mp4").touch()
    return folder / "clip.mp4"


def no_frames(folder: Path) -> Path:
    return write_clip(folder / "clip.mkv", [])


def no_pictures(folder: Path) -> Path:
    clip = write_clip(folder / "clip.mov", scene(3), codec="png", pixel_format="rgb24")
    clip.write_bytes(clip.read_bytes().replace(b"\x89PNG", bytes(4)))
    return clip


def only_sound(folder: Path) -> Path:
    with av.open(str(folder / "clip.mp4"), "w") as container:
        for packet in sound_packets(container.add_stream("aac", rate=48_000), 0.5):
            container.mux(packet)
    return folder / "clip.mp4"


def without_its_index(folder: Path) -> Path:
    clip = write_clip(folder / "clip.mp4", scene(30))
    clip.write_bytes(clip.read_bytes()[:-1500])
    return clip


def missing(folder: Path) -> Path:
    return folder / "clip.mp4"


def no_images(folder: Path) -> Path:
    (folder / "notes.txt").write_text("none here")
    return folder


def images_of_two_sizes(folder: Path) -> Path:
    Image.new("RGB", (40, 30)).save(folder / "0.png")
    Image.new("RGB", (40, 32)).save(folder / "1.png")
    return folder


def a_broken_image(folder: Path) -> Path:
    Image.new("RGB", (40, 30)).save(folder / "0.png")
    (folder / "1.png").write_bytes(b"no")
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (text, "clip.mp4 is not a video"),
        (empty_file, "clip.mp4 is not a video"),
        (no_frames, "clip.mkv is not a video that can be read"),
        (no_pictures, "clip.mov has no video frame that can be decoded"),
        (only_sound, "clip.mp4 has no video stream"),
        (without_its_index, "or its end is missing"),
        (missing, "clip.mp4 does not exist"),
        (no_images, "holds no images"),
        (images_of_two_sizes, "1.png is 40x32, but 0.png is 40x30"),
        (a_broken_image, "1.png cannot be read as an image"),
    ],
)
def test_what_is_not_a_video_is_refused_in_one_line(tmp_path: Path, make: object, message: str) -> None:
    with pytest.raises(MediaError, match=message) as refused:
        open_source(make(tmp_path))  # type: ignore[operator]
    assert "\n" not in str(refused.value)
