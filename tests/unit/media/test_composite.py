from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from encoded_clips import scene, turn_in_header, write_clip
from numpy.typing import NDArray

from propainter.core.errors import ShapeError
from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry
from propainter.core.settings import EncodeVideo
from propainter.media.composite import composite_frames
from propainter.media.encode_spec import EncodeSpec, plan_encoding
from propainter.media.mux import write_folder, write_video
from propainter.media.piece import encode_piece
from propainter.media.planes import layout_of, planes_of
from propainter.media.resize import resize_holes
from propainter.media.source import VideoSource, open_source

RED = (220, 30, 30)


def red(geometry: Geometry) -> Any:
    return lambda frames: np.full((len(frames), geometry.height_px, geometry.width_px, 3), RED, np.uint8)


def holes_for(geometry: Geometry, count: int) -> NDArray[np.bool_]:
    """A block at odd places, so that it cuts through chroma samples; none in the second frame; a corner in the last."""
    holes = np.zeros((count, geometry.height_px, geometry.width_px), bool)
    holes[:, 11:27, 17:39] = True
    holes[1] = False
    holes[-1, -9:, -13:] = True
    return holes


def plan(source: VideoSource, output: str, geometry: Geometry, **settings: Any) -> EncodeSpec:
    return plan_encoding(source.info, EncodeVideo(**settings), geometry, Path(output))


@pytest.mark.parametrize(
    ("codec", "pixel_format", "size"),
    [
        ("libx264", "yuv420p", (48, 64)),
        ("libx264", "yuv444p", (49, 65)),
        ("libx264", "yuv422p10le", (48, 64)),
        ("libx264", "yuv420p10le", (48, 64)),
        ("mjpeg", "yuvj420p", (51, 67)),
        ("ffv1", "yuv420p", (51, 67)),
        ("ffv1", "yuv410p", (48, 64)),
        ("ffv1", "gbrp12le", (48, 64)),
        ("ffv1", "gray", (48, 64)),
        ("ffv1", "bgr0", (49, 65)),
        ("rawvideo", "yuyv422", (48, 64)),
    ],
)
def test_a_lossless_run_keeps_every_sample_that_the_hole_does_not_touch(
    tmp_path: Path, codec: str, pixel_format: str, size: tuple[int, int]
) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(3, *size), codec=codec, pixel_format=pixel_format)
    frames = FrameRange(0, 3)
    with open_source(clip) as source:
        geometry = Geometry.plan(*size)
        holes = holes_for(geometry, 3)
        spec = plan(source, "out.mkv", geometry, codec="ffv1")
        composited = composite_frames(source, frames, red(geometry), holes, geometry, spec)
        out = tmp_path / "out.mkv"
        write_video([encode_piece(composited, spec)], spec, source, frames, out)
        at_source = resize_holes(holes, *size)
        with open_source(out) as result:
            for hole, before, after in zip(at_source, source.native(frames), result.native(frames), strict=True):
                compare_samples(before, after, hole)
            pictures = result.read(frames)
            expected = np.mean(RED) if pixel_format == "gray" else RED
            tolerance = {"gray": 25, "yuv410p": 12}.get(pixel_format, 7)  # grey is weighted; coarse chroma blurs
            inside = cv2.erode(at_source[0].astype(np.uint8), np.ones((9, 9))) > 0
            assert np.abs(pictures[0][inside].astype(int) - expected).max() <= tolerance


def compare_samples(before: Any, after: Any, hole: NDArray[np.bool_]) -> None:
    same_samples = before.format.name.replace("yuvj", "yuv") == after.format.name
    assert same_samples or before.format.name == "yuyv422"
    if not same_samples:
        before = before.reformat(format="yuv422p")
    layout = layout_of(after.format.name)
    assert layout is not None
    for part, old, new in zip(layout, planes_of(before), planes_of(after), strict=True):
        rows, columns = part.rows, part.columns
        touched = np.array(
            [
                [hole[y * rows : (y + 1) * rows, x * columns : (x + 1) * columns].any() for x in range(old.shape[1])]
                for y in range(old.shape[0])
            ]
        )
        assert np.array_equal(old[~touched], new[~touched])
        assert not touched.any() or not np.array_equal(old[touched], new[touched])


@pytest.mark.parametrize("turned", [False, True])
def test_a_folder_of_png_keeps_every_pixel_outside_the_hole(tmp_path: Path, turned: bool) -> None:
    clip = write_clip(tmp_path / "clip.mp4", scene(5, 48, 64))
    if turned:
        turn_in_header(clip, (0, 1, -1, 0))
    frames = FrameRange(1, 5)
    with open_source(clip) as source:
        geometry = Geometry.plan(source.info.height_px, source.info.width_px)
        holes = holes_for(geometry, 4)
        spec = plan(source, "out", geometry)
        pieces = [
            encode_piece(composite_frames(source, part, red(geometry), holes[place], geometry, spec), spec)
            for part, place in ((FrameRange(1, 4), slice(0, 3)), (FrameRange(4, 5), slice(3, 4)))
        ]
        write_folder(pieces, spec, frames, tmp_path / "out")
        names = [path.name for path in sorted((tmp_path / "out").iterdir())]
        assert names == [f"{number:05d}.png" for number in frames]
        with open_source(tmp_path / "out") as result:
            pictures, originals = result.read(FrameRange(0, 4)), source.read(frames)
    assert np.array_equal(pictures[~holes], originals[~holes])
    assert (pictures[holes] == RED).all()


def test_an_enlarged_fill_fades_in_over_the_rim_of_the_hole_and_nowhere_else(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", np.zeros((1, 96, 128, 3), np.uint8), codec="ffv1", pixel_format="bgr0")
    one = FrameRange(0, 1)
    with open_source(clip) as source:
        geometry = Geometry.plan(96, 128, height_px=48, width_px=64)
        hole = np.zeros((1, 48, 64), bool)
        hole[:, 8:40, 8:40] = True
        white = np.full((1, 48, 64, 3), 255, np.uint8)
        spec = plan(source, "out", geometry)
        frame = next(composite_frames(source, one, lambda frames: white, hole, geometry, spec))
    row = frame.to_ndarray()[48, 14:24, 0]
    assert row.tolist() == [0, 0, 64, 128, 191, 255, 255, 255, 255, 255]


@pytest.mark.parametrize(("output", "interpolation"), [("out", cv2.INTER_CUBIC), ("out.mkv", cv2.INTER_LINEAR)])
def test_without_keep_size_the_composite_is_made_small_and_resized_to_what_was_asked(
    tmp_path: Path, output: str, interpolation: int
) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(1, 96, 128), codec="ffv1", pixel_format="bgr0")
    one = FrameRange(0, 1)
    with open_source(clip) as source:
        geometry = Geometry.plan(96, 128, height_px=52, width_px=70)
        hole = holes_for(geometry, 2)[:1]
        codec = "png" if output == "out" else "ffv1"
        spec = plan(source, output, geometry, codec=codec, keep_size=False)
        assert (spec.height_px, spec.width_px) == (52, 70)
        frame = next(composite_frames(source, one, red(geometry), hole, geometry, spec))
        from propainter.media.resize import resize_frames

        small = resize_frames(source.read(one), 48, 64)[0].copy()
    small[hole[0]] = RED
    expected = cv2.resize(small, (70, 52), interpolation=interpolation)
    assert np.array_equal(frame.to_ndarray(format="rgb24"), expected)


def test_a_fill_is_not_asked_for_where_there_is_no_hole(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(20), codec="ffv1", pixel_format="yuv420p")
    frames = FrameRange(2, 20)
    asked: list[FrameRange] = []

    def fill(part: FrameRange) -> NDArray[np.uint8]:
        asked.append(part)
        return np.zeros((len(part), 48, 64, 3), np.uint8)

    with open_source(clip) as source:
        geometry = Geometry.plan(48, 64)
        holes = np.zeros((18, 48, 64), bool)
        holes[9, 20:30, 20:30] = True
        spec = plan(source, "out.mkv", geometry, codec="ffv1")
        assert count(composite_frames(source, frames, fill, holes, geometry, spec)) == 18
        with pytest.raises(ShapeError, match="do not go with frames 2:20"):
            next(composite_frames(source, frames, fill, holes[:5], geometry, spec))
    assert len(asked) == 1
    assert asked[0].start <= 2 + 9 < asked[0].stop


def count(frames: Iterator[Any]) -> int:
    return sum(1 for _ in frames)


def test_a_piece_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", scene(12), codec="ffv1", pixel_format="yuv420p", time_base=Fraction(1, 25))
    with open_source(clip) as source:
        geometry = Geometry.plan(48, 64)
        for codec in ("h264", "h265", "ffv1", "prores"):
            spec = plan(source, "out.mkv", geometry, codec=codec)
            first, again = (encode_piece(source.native(FrameRange(0, 12)), spec) for _ in range(2))
            assert first == again
            assert encode_piece(source.native(FrameRange(0, 12)), replace(spec, crf=30)) != first or spec.crf is None
