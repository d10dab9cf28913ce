"""The source in the middle of outpainting's canvas, its samples untouched, and the fill where it belongs around it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoded_clips import scene, write_clip
from numpy.typing import NDArray

from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry
from propainter.core.settings import EncodeVideo, Outpainting
from propainter.media.colour import to_rgb
from propainter.media.composite import composite_frames
from propainter.media.encode_spec import plan_encoding
from propainter.media.planes import layout_of, planes_of
from propainter.media.source import VideoSource, open_source
from propainter.media.surround import Surround

CANVAS = Outpainting(scale_h=1.5, scale_w=1.25)
BOTH = FrameRange(0, 2)
RED = (220, 30, 30)


def composited(source: VideoSource, geometry: Geometry, patch: NDArray[np.uint8], **settings: Any) -> list[Any]:
    output = Path("out" if settings["codec"] == "png" else "out.mkv")
    spec = plan_encoding(source.info, EncodeVideo(**settings), geometry, output)
    fill = np.broadcast_to(patch, (len(BOTH), *patch.shape))
    return list(composite_frames(source, BOTH, lambda _: fill, Surround().read(BOTH, geometry), geometry, spec))


@pytest.mark.parametrize(
    ("pixel_format", "size", "written"),
    [
        ("yuv420p", (48, 64), (72, 80)),
        ("yuv420p", (51, 67), (51 + 2 * 12, 67 + 2 * 8)),  # worked at in 48x64
        ("yuv410p", (48, 64), (72, 80)),
        ("yuv422p10le", (48, 64), (72, 80)),
        ("gbrp12le", (48, 64), (72, 80)),
        ("gray", (48, 64), (72, 80)),
    ],
)
def test_every_sample_of_the_source_is_in_the_middle_of_the_canvas(
    tmp_path: Path, pixel_format: str, size: tuple[int, int], written: tuple[int, int]
) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(2, *size), codec="ffv1", pixel_format=pixel_format)
    with open_source(clip) as source:
        geometry = Geometry.plan(*size, outpainting=CANVAS)
        patch = np.full((geometry.height_px, geometry.width_px, 3), 90, np.uint8)
        frames = composited(source, geometry, patch, codec="ffv1")
        assert {(frame.height, frame.width, frame.format.name) for frame in frames} == {(*written, pixel_format)}
        for before, after in zip(source.native(BOTH), frames, strict=True):
            for part, old, new in zip(layout_of(pixel_format) or (), planes_of(before), planes_of(after), strict=True):
                whole_rows, whole_columns = size[0] // part.rows, size[1] // part.columns
                rows = slice(12 // part.rows, 12 // part.rows + whole_rows)
                columns = slice(8 // part.columns, 8 // part.columns + whole_columns)
                assert np.array_equal(new[rows, columns], old[:whole_rows, :whole_columns])
            fill = after.to_ndarray(format="rgb24")[:4]  # where no chroma sample of the source shines in
            assert np.abs(fill.astype(int) - 90).max() <= 2  # YUV rounds


def test_a_canvas_with_the_lines_of_hd_keeps_the_colours_of_a_source_with_fewer(tmp_path: Path) -> None:
    """From 720 lines up, video that names no matrix is taken for another one."""
    clip = write_clip(tmp_path / "clip.mkv", scene(2, 640, 32), codec="ffv1", pixel_format="yuv444p")
    with open_source(clip) as source:
        geometry = Geometry.plan(640, 32, outpainting=Outpainting(scale_h=1.2, scale_w=1.0))
        frame = composited(source, geometry, np.full((768, 32, 3), RED, np.uint8), codec="ffv1")[0]
        spec = plan_encoding(source.info, EncodeVideo(codec="ffv1"), geometry, Path("out.mkv"))
    assert np.abs(to_rgb(frame, spec.colour)[:64].astype(int) - RED).max() <= 2


@pytest.mark.parametrize("keep_size", [True, False])
def test_an_enlarged_fill_meets_the_source_where_it_belongs(tmp_path: Path, keep_size: bool) -> None:
    """A ramp of two grey levels a pixel in a source of twice the processing size, and the fill of the same ramp."""
    ramp = np.broadcast_to(np.arange(50, 50 + 96)[None, :, None], (64, 96, 3)).astype(np.uint8)
    clip = write_clip(tmp_path / "clip.mkv", np.stack([ramp] * 2), codec="ffv1", pixel_format="bgr0")
    with open_source(clip) as source:
        geometry = Geometry.plan(64, 96, height_px=32, width_px=48, outpainting=Outpainting(scale_w=1.5))
        at_px = (np.arange(72) - 12 + 0.5) * 2 - 0.5  # columns of the canvas in the source's
        patch = np.broadcast_to(np.rint(50 + at_px)[None, :, None], (32, 72, 3)).astype(np.uint8)
        frame = composited(source, geometry, patch, codec="png", keep_size=keep_size)[0].to_ndarray(format="rgb24")
    step = 1 if keep_size else 2
    assert frame.shape == ((64, 144, 3) if keep_size else (32, 72, 3))
    inside = slice(4, -4)  # beyond the canvas the ramp has no neighbour to be interpolated with
    expected = 50 - 24 + (np.arange(frame.shape[1]) + 0.5) * step - 0.5
    assert np.abs(frame[:, inside].astype(float) - expected[None, inside, None]).max() <= 2
