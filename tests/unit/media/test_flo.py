"""Flow files of both kinds, byte for byte."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propainter.core.errors import FlowRangeError, MediaError
from propainter.media.flo import FloType, encode_flo, flo_bytes, flo_names, flo_size, read_flo

FLOW = np.arange(12, dtype=np.float32).reshape(2, 2, 3) / 4  # dx 0 to 1.25, dy 1.5 to 2.75; 2 rows, 3 columns


def test_a_file_is_a_mark_the_sides_and_dx_dy_of_each_pixel(tmp_path: Path) -> None:
    data = encode_flo(FLOW, "float16")
    assert data[:12] == b"PIEH" + struct.pack("<ii", 3, 2)
    assert np.frombuffer(data[12:], "<f2")[:4].tolist() == [0.0, 1.5, 0.25, 1.75]
    (tmp_path / "a.flo").write_bytes(data)
    np.testing.assert_array_equal(read_flo(tmp_path / "a.flo"), FLOW)


@pytest.mark.parametrize(("dtype", "size_bytes"), [("float16", 36), ("float32", 60)])
def test_the_size_of_the_file_tells_its_type(tmp_path: Path, dtype: FloType, size_bytes: int) -> None:
    (tmp_path / "a.flo").write_bytes(encode_flo(FLOW, dtype))
    assert (tmp_path / "a.flo").stat().st_size == flo_bytes(2, 3, dtype) == size_bytes
    assert flo_size(tmp_path / "a.flo") == (2, 3)
    np.testing.assert_array_equal(read_flo(tmp_path / "a.flo"), FLOW)


@pytest.mark.parametrize("broken", [lambda data: data[:-1], lambda data: b"X" + data[1:], lambda data: data[:7]])
def test_a_file_that_is_not_whole_is_named(tmp_path: Path, broken: object) -> None:
    (tmp_path / "a.flo").write_bytes(broken(encode_flo(FLOW, "float16")))  # type: ignore[operator]
    for read in (read_flo, flo_size):
        with pytest.raises(MediaError, match=r"a\.flo is no \.flo file"):
            read(tmp_path / "a.flo")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"b\.flo cannot be read"):
        read_flo(tmp_path / "b.flo")


@given(st.lists(st.integers(-2048, 2047), min_size=8, max_size=8))
def test_the_caches_steps_up_to_32_px_survive_float16_exactly(steps: list[int]) -> None:
    flow = (np.array(steps, np.float32) / 64).reshape(2, 2, 2)
    back = np.frombuffer(encode_flo(flow, "float16")[12:], "<f2").astype(np.float32)
    np.testing.assert_array_equal(back.reshape(2, 2, 2).transpose(2, 0, 1), flow)


def test_flow_beyond_float16_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FlowRangeError, match=r"70000 px does not fit float16.*float32"):
        encode_flo(np.full((2, 1, 1), 70000, np.float32), "float16")


def test_files_are_named_after_the_two_frames_the_backward_one_the_other_way_round() -> None:
    assert flo_names(("00000", "00005", "00010")) == (
        ("00000_00005_f.flo", "00005_00000_b.flo"),
        ("00005_00010_f.flo", "00010_00005_b.flo"),
    )
