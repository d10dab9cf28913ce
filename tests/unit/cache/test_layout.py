"""Types and codecs on disk, and flow in steps of 1/64 px."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr.core.metadata import ArrayV3Metadata

from cache.layout import ArraySpec, array_metadata, dequantise_flow, flow_spec, frames_spec, quantise_flow
from propainter.core.errors import FlowRangeError
from propainter.core.frames import FrameRange
from propainter.core.settings import Storage

SPECS = [
    *(frames_spec(5, 8, 16, channels, 2, storage) for channels in (3, 4) for storage in ("default", "fast")),
    *(flow_spec(5, 8, 16, 2, storage) for storage in ("default", "fast", "exact")),
]


def _compression(spec: ArraySpec) -> tuple[str, str, int]:
    blosc = array_metadata(spec)["codecs"][0]["configuration"]["codecs"][1]["configuration"]
    return blosc["cname"], blosc["shuffle"], blosc["clevel"]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_zarr_takes_the_metadata_as_it_is_written(spec: ArraySpec) -> None:
    written = array_metadata(spec)
    taken = json.loads(json.dumps(ArrayV3Metadata.from_dict(written).to_dict()))
    assert {name: taken[name] for name in written} == written


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_layout_survives_its_json(spec: ArraySpec) -> None:
    assert ArraySpec.from_json(spec.as_json()) == spec


@pytest.mark.parametrize(
    ("storage", "flow_dtype", "flow_codec", "frames_codec"),
    [
        ("default", "int16", ("zstd", "bitshuffle", 1), ("zstd", "noshuffle", 1)),
        ("fast", "int16", ("lz4", "bitshuffle", 1), ("lz4", "noshuffle", 1)),
        ("exact", "float32", ("zstd", "bitshuffle", 1), ("zstd", "noshuffle", 1)),
    ],
)
def test_the_storage_setting_chooses_type_and_codec(
    storage: Storage, flow_dtype: str, flow_codec: object, frames_codec: object
) -> None:
    flow, frames = flow_spec(5, 8, 16, 2, storage), frames_spec(5, 8, 16, 3, 2, storage)
    assert (flow.shape, flow.dtype, _compression(flow)) == ((5, 2, 2, 8, 16), flow_dtype, flow_codec)
    assert (frames.shape, frames.dtype, _compression(frames)) == ((5, 8, 16, 3), "uint8", frames_codec)
    assert (flow.frame_bytes, frames.frame_bytes) == (4 * 8 * 16 * np.dtype(flow_dtype).itemsize, 8 * 16 * 3)


def test_exact_storage_of_flow_does_not_touch_frames() -> None:
    assert frames_spec(5, 8, 16, 3, 2, "exact") == frames_spec(5, 8, 16, 3, 2, "default")


def test_segments_cover_the_frames_and_the_last_may_be_short() -> None:
    spec = frames_spec(5, 8, 16, 3, 2, "default")
    assert [spec.segment(index) for index in range(spec.segments)] == [
        FrameRange(0, 2), FrameRange(2, 4), FrameRange(4, 5),
    ]  # fmt: skip
    assert flow_spec(0, 8, 16, 2, "default").segments == 0


def test_flow_is_rounded_to_the_nearest_step_and_zero_stays_zero() -> None:
    flow = np.array([0.0, 1 / 64, 0.3, -0.3, 511.984375, -512.0], dtype=np.float32)
    assert quantise_flow(flow).tolist() == [0, 1, 19, -19, 32767, -32768]


@given(st.lists(st.floats(-511.5, 511.5, width=32), min_size=1))
def test_flow_comes_back_within_half_a_step_and_the_second_trip_changes_nothing(values: list[float]) -> None:
    flow = np.array(values, dtype=np.float32)
    back = dequantise_flow(quantise_flow(flow))
    assert back.dtype == np.float32
    assert np.abs(back - flow).max() <= 1 / 128
    assert np.array_equal(dequantise_flow(quantise_flow(back)), back)


def test_flow_beyond_the_type_is_refused_with_its_count_and_never_wraps() -> None:
    flow = np.array([1.0, 600.0, -600.0, 511.99, 0.0], dtype=np.float32)
    with pytest.raises(FlowRangeError, match=r"2 of 4 .*511\.98 px.*600\.0 px.*--storage exact"):
        quantise_flow(np.delete(flow, 3))
    with pytest.raises(FlowRangeError, match="3 of 5"):
        quantise_flow(flow + np.float32(0.01))


def test_flow_that_is_not_finite_is_refused_with_its_count() -> None:
    with pytest.raises(FlowRangeError, match="2 of 3 flow values are NaN or infinite"):
        quantise_flow(np.array([np.nan, np.inf, 1.0], dtype=np.float32))


def test_exact_flow_passes_through_unchanged() -> None:
    flow = np.array([600.0, 1e-9], dtype=np.float32)
    assert dequantise_flow(flow) is flow
