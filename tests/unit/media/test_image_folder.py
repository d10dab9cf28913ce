from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from propainter.core.frames import FrameRange
from propainter.media.source import open_source

ALL = FrameRange(0, 3)


def test_images_are_taken_in_the_order_of_their_names_and_other_files_left(tmp_path: Path) -> None:
    for number, name in enumerate(["b.jpg", "a.PNG", "c.webp"]):
        Image.new("RGB", (16, 8), (60 * number,) * 3).save(tmp_path / name)
    (tmp_path / "a.txt").touch()
    (tmp_path / ".hidden.png").touch()
    with open_source(tmp_path, save_fps=29.97) as source:
        assert [picture[0, 0, 0] // 60 for picture in source.read(ALL) + 2] == [1, 0, 2]
        assert source.info.time_base == Fraction(100, 2997)
        assert source.info.times == (0, 1, 2)


def test_whatever_an_image_holds_becomes_rgb(tmp_path: Path) -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "0.png")
    Image.fromarray(np.full((4, 4), 0x8040, np.uint16)).save(tmp_path / "1.png")
    Image.new("RGBA", (4, 4), (7, 8, 9, 0)).save(tmp_path / "2.png")
    with open_source(tmp_path) as source:
        assert source.read(ALL)[:, 0, 0].tolist() == [[10, 20, 30], [0x80] * 3, [7, 8, 9]]


def test_an_image_that_lies_on_its_side_is_set_upright(tmp_path: Path) -> None:
    turned = Image.fromarray(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8))
    tag = Image.Exif()
    tag[0x0112] = 6
    turned.save(tmp_path / "0.png", exif=tag)
    with open_source(tmp_path) as source:
        assert (source.info.height_px, source.info.width_px) == (2, 1)
        assert source.read(FrameRange(0, 1))[0, :, 0].tolist() == [[255, 0, 0], [0, 0, 255]]
