from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from propainter.core.errors import OutputError
from propainter.core.geometry import Geometry
from propainter.core.settings import EncodeVideo
from propainter.media.colour import Colour
from propainter.media.encode_spec import EncodeSpec, plan_encoding
from propainter.media.planes import bit_depth_of
from propainter.media.source import VideoInfo

INFO = VideoInfo(
    path=Path("clip.mp4"), frames=10, height_px=48, width_px=64, times=tuple(range(10)), end_time=10,
    time_base=Fraction(1, 25), is_folder=False, pixel_format="yuv420p", bit_depth=8, colour=Colour(),
    rotation_deg=0, sample_aspect=Fraction(1), codec="h264",
)  # fmt: skip


def plan(output: str = "out.mp4", codec: Any = None, crf: int | None = None, **info: Any) -> EncodeSpec:
    changed = replace(INFO, **info, bit_depth=bit_depth_of(info.get("pixel_format", "yuv420p")))
    geometry = Geometry.plan(changed.height_px, changed.width_px)
    return plan_encoding(changed, EncodeVideo(codec=codec, crf=crf), geometry, Path(output))


@pytest.mark.parametrize(
    ("output", "container", "codec"),
    [("a.mp4", "mp4", "h264"), ("a.MKV", "matroska", "h264"), ("a.mov", "mov", "h264"), ("folder", "folder", "png")],
)
def test_the_name_of_the_output_decides_the_container(output: str, container: str, codec: str) -> None:
    spec = plan(output)
    assert (spec.container, spec.codec) == (container, codec)


@pytest.mark.parametrize(
    ("output", "codec", "message"),
    [
        ("a.mp4", "ffv1", r"ffv1 cannot be written to a.mp4. Use --codec h264 or h265, or write to .mkv."),
        ("a.mp4", "prores", r"or write to .mov or .mkv."),
        ("a.mkv", "png", r"or write to a folder."),
        ("folder", "h264", r"Use --codec png, or write to .mp4 or .mov or .mkv."),
        ("a.avi", None, r"a.avi is in no format that can be written. Use .mp4, .mkv, .mov, or a folder."),
    ],
)
def test_what_cannot_go_together_is_refused_with_the_way_out(output: str, codec: str | None, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        plan(output, codec)


@pytest.mark.parametrize(
    ("codec", "source", "size", "written"),
    [
        ("h264", "yuv420p", (48, 64), "yuv420p"),
        ("h264", "yuvj420p", (48, 64), "yuv420p"),
        ("h264", "yuv420p", (49, 64), "yuv422p"),
        ("h264", "yuv420p", (48, 65), "yuv444p"),
        ("h264", "yuv422p", (49, 64), "yuv422p"),
        ("h264", "yuv420p10le", (48, 64), "yuv420p10le"),
        ("h264", "yuv420p12le", (48, 64), "yuv420p10le"),
        ("h265", "yuv420p12le", (48, 64), "yuv420p12le"),
        ("h265", "yuva420p", (48, 64), "yuv420p"),
        ("h264", "yuv411p", (48, 64), "yuv422p"),
        ("h264", "yuv440p", (48, 64), "yuv444p"),
        ("h264", "yuyv422", (48, 64), "yuv422p"),
        ("h264", "gbrp", (48, 64), "yuv444p"),
        ("h264", "gray", (48, 64), "gray"),
        ("prores", "yuv420p", (48, 64), "yuv422p10le"),
        ("prores", "gbrp10le", (48, 64), "yuv444p10le"),
        ("ffv1", "yuv420p", (49, 65), "yuv420p"),
        ("ffv1", "yuyv422", (48, 64), "yuv422p"),
        ("ffv1", "rgb24", (49, 65), "bgr0"),
        ("ffv1", "pal8", (48, 64), "bgr0"),
        ("ffv1", "gbrp10le", (48, 64), "gbrp10le"),
        ("ffv1", "p010le", (48, 64), "yuv420p10le"),
    ],
)
def test_the_pixel_format_is_the_sources_or_the_nearest_that_holds_it(
    codec: str, source: str, size: tuple[int, int], written: str
) -> None:
    output = "a.mov" if codec == "prores" else "a.mkv"
    assert plan(output, codec, pixel_format=source, height_px=size[0], width_px=size[1]).pixel_format == written


def test_images_become_video_that_says_its_colours() -> None:
    spec = plan(is_folder=True, pixel_format="rgb24")
    assert spec.pixel_format == "yuv420p"
    assert (spec.colour.range, spec.colour.matrix) == ("limited", 6)
    assert plan(is_folder=True, pixel_format="rgb24", height_px=720, width_px=1280).colour.matrix == 1


def test_crf_is_the_users_or_the_codecs_default() -> None:
    assert [plan(crf=None).crf, plan(crf=30).crf, plan("a.mkv", "ffv1", crf=30).crf] == [16, 30, None]
