"""How results lie on disk: types, shards, codecs, file names, and the version of all of this.

One Zarr v3 array per entry; one shard per segment, with one inner chunk per frame (or pair), so that a part of a
segment is read without decoding the rest. The metadata is written out here rather than taken from a library's
defaults: its bytes must not change when a library does.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from propainter.core.errors import FlowRangeError
from propainter.core.frames import FrameRange
from propainter.core.settings import Storage

SCHEMA = 1
"""Raised when old entries can no longer be read; it is part of every key and of the path."""

FLOW_STEP_PX = 1 / 64
"""int16 flow counts these: at most 1/128 px of error, and 511.98 px of reach."""

HEADER = "zarr.json"
RECIPE = "recipe.json"
MANIFEST = "manifest.json"
PINNED = "pinned"

_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySpec:
    """The array of one entry: shape[0] counts frames (or pairs), cut into shards of segment_frames."""

    shape: tuple[int, ...]
    dtype: Literal["uint8", "int16", "float32"]
    segment_frames: int
    codec: Literal["default", "fast"]

    @property
    def frames(self) -> FrameRange:
        return FrameRange(0, self.shape[0])

    @property
    def segments(self) -> int:
        """How many segments the array has; the last may be shorter than the rest."""
        return -(-self.shape[0] // self.segment_frames)

    @property
    def frame_bytes(self) -> int:
        """One frame (or pair), uncompressed."""
        return prod(self.shape[1:]) * np.dtype(self.dtype).itemsize

    def segment(self, index: int) -> FrameRange:
        """The frames of one segment."""
        start = index * self.segment_frames
        return FrameRange(start, min(start + self.segment_frames, self.shape[0]))

    def with_frames(self, frames: int) -> "ArraySpec":
        """The same layout for another number of frames."""
        return ArraySpec(
            shape=(frames, *self.shape[1:]), dtype=self.dtype, segment_frames=self.segment_frames, codec=self.codec
        )

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "ArraySpec":
        return cls(**{**fields, "shape": tuple(fields["shape"])})


def frames_spec(
    frames: int, height: int, width: int, channels: int, segment_frames: int, storage: Storage
) -> ArraySpec:
    """Layout of uint8 pictures (T, H, W, C); they are exact in any storage."""
    return ArraySpec(
        shape=(frames, height, width, channels),
        dtype="uint8",
        segment_frames=segment_frames,
        codec="fast" if storage == "fast" else "default",
    )


def flow_spec(pairs: int, height: int, width: int, segment_frames: int, storage: Storage) -> ArraySpec:
    """Layout of flow (T-1, 2 directions, (dx, dy), H, W): int16 as quantise_flow gives it; float32 for "exact"."""
    return ArraySpec(
        shape=(pairs, 2, 2, height, width),
        dtype="float32" if storage == "exact" else "int16",
        segment_frames=segment_frames,
        codec="fast" if storage == "fast" else "default",
    )


def quantise_flow(flow: NDArray[np.float32]) -> NDArray[np.int16]:
    """Flow in pixels to int16 steps of 1/64 px, rounded to the nearest, halves to even.

    Raises:
        FlowRangeError: a value is not finite, or further than the type reaches. Nothing is clipped in silence.
    """
    stored = np.empty(flow.shape, np.int16)
    for pair in range(len(flow)):  # one by one, they stay in the processor's cache
        steps = flow[pair : pair + 1] * np.float32(1 / FLOW_STEP_PX)
        np.rint(steps, out=steps)
        # NaN fails either comparison.
        if not (steps.max(initial=0) <= _INT16.max and steps.min(initial=0) >= _INT16.min):
            raise FlowRangeError(_refusal(flow))
        stored[pair] = steps[0]
    return stored


def _refusal(flow: NDArray[np.float32]) -> str:
    broken = int(np.count_nonzero(~np.isfinite(flow)))
    if broken:
        return (
            f"{broken} of {flow.size} flow values are NaN or infinite. Compute this segment again; "
            "if it stays, report it."
        )
    steps = np.rint(flow * np.float32(1 / FLOW_STEP_PX))
    beyond = int(np.count_nonzero((steps > _INT16.max) | (steps < _INT16.min)))
    return (
        f"{beyond} of {flow.size} flow values are beyond {_INT16.max * FLOW_STEP_PX:.2f} px "
        f"(the largest is {float(np.abs(flow).max()):.1f} px). Run with --storage exact."
    )


def dequantise_flow(stored: NDArray[np.int16] | NDArray[np.float32]) -> NDArray[np.float32]:
    """What quantise_flow stored, in pixels; float32 (storage "exact") passes through."""
    if stored.dtype == np.float32:
        return stored  # type: ignore[return-value]
    flow = stored.astype(np.float32)
    flow *= np.float32(FLOW_STEP_PX)
    return flow


def array_metadata(spec: ArraySpec) -> dict[str, Any]:
    """The Zarr v3 metadata document of an array, as any reader of that format takes it."""
    itemsize = np.dtype(spec.dtype).itemsize
    to_bytes = {"name": "bytes", "configuration": {"endian": "little"}} if itemsize > 1 else {"name": "bytes"}
    compress = {
        "name": "blosc",
        "configuration": {
            "typesize": itemsize,
            "cname": "lz4" if spec.codec == "fast" else "zstd",
            "clevel": 1,
            "shuffle": "bitshuffle" if itemsize > 1 else "noshuffle",
            "blocksize": 0,
        },
    }
    checksum = {"name": "crc32c"}
    index = {"name": "bytes", "configuration": {"endian": "little"}}
    shard = {
        "chunk_shape": [1, *spec.shape[1:]],
        "codecs": [to_bytes, compress, checksum],
        "index_codecs": [index, checksum],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(spec.shape),
        "data_type": spec.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [spec.segment_frames, *spec.shape[1:]]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": 0.0 if spec.dtype == "float32" else 0,
        "codecs": [{"name": "sharding_indexed", "configuration": shard}],
        "attributes": {},
    }


def header_bytes(spec: ArraySpec) -> bytes:
    """What an entry's zarr.json holds, byte for byte."""
    return json.dumps(array_metadata(spec), indent=1).encode()


def version_folder(root: Path) -> Path:
    return root / f"v{SCHEMA}"


def entry_folder(root: Path, stage: str, digest: str) -> Path:
    return version_folder(root) / stage / digest[:2] / digest


def pool_file(root: Path, stage: str, digest: str) -> Path:
    """Where one segment lies under what it holds, whatever entries it is in."""
    return version_folder(root) / ".segments" / stage / digest[:2] / digest


def lease_file(root: Path, stage: str, digest: str) -> Path:
    """Locked by whoever uses an entry; its time of change says when the entry was last used."""
    return root / ".lease" / f"{stage}-{digest}"


def segment_name(spec: ArraySpec | None, segment: int) -> str:
    """The file of one segment: Zarr's own name for the shard, or, in an entry of blobs, b.<segment>."""
    return f"b.{segment}" if spec is None else f"c.{segment}" + ".0" * (len(spec.shape) - 1)


def is_segment_name(name: str) -> bool:
    return name.startswith(("c.", "b."))
