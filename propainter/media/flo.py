"""The .flo file: optical flow of one pair of frames in one direction, as others keep it.

PIEH, width and height as int32, then (H, W, 2) of (dx, dy) in pixels: float32 in Middlebury's files, float16 in those
of ProPainter's released training code. Nothing but the size of the file tells them apart.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from propainter.core.errors import FlowRangeError, MediaError

FloType = Literal["float16", "float32"]

_HEADER = struct.Struct("<4sii")
_MARK = b"PIEH"


def flo_names(frame_names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Per pair of frames a, b the names of the forward and the backward file: a_b_f.flo, b_a_b.flo."""
    return tuple((f"{a}_{b}_f.flo", f"{b}_{a}_b.flo") for a, b in pairwise(frame_names))


def flo_bytes(height_px: int, width_px: int, dtype: FloType) -> int:
    """The size of one file."""
    return _HEADER.size + height_px * width_px * 2 * np.dtype(dtype).itemsize


def encode_flo(flow_2HW: NDArray[np.float32], dtype: FloType) -> bytes:
    """A file's content.

    Raises:
        FlowRangeError: dtype does not reach so far.
    """
    with np.errstate(over="ignore"):
        stored = flow_2HW.transpose(1, 2, 0).astype(f"<{np.dtype(dtype).str[1:]}")
    if not np.isfinite(stored).all():
        raise FlowRangeError(
            f"flow of {float(np.abs(flow_2HW).max()):.0f} px does not fit {dtype}. Give --flo-dtype float32."
        )
    height_px, width_px = flow_2HW.shape[1:]
    return _HEADER.pack(_MARK, width_px, height_px) + stored.tobytes()


def read_flo(path: Path) -> NDArray[np.float32]:
    """(2, H, W): dx and dy in pixels.

    Raises:
        MediaError: it is not there, or no .flo file of either kind.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({error.strerror}). Give flow for every pair of frames.") from error
    height_px, width_px, dtype = _described(path, data[: _HEADER.size], len(data))
    flow = np.frombuffer(data, f"<{np.dtype(dtype).str[1:]}", offset=_HEADER.size)
    return flow.reshape(height_px, width_px, 2).transpose(2, 0, 1).astype(np.float32)


def flo_size(path: Path) -> tuple[int, int]:
    """Height and width by the header.

    Raises:
        MediaError: as read_flo.
    """
    with path.open("rb") as file:
        return _described(path, file.read(_HEADER.size), path.stat().st_size)[:2]


def _described(path: Path, header: bytes, size_bytes: int) -> tuple[int, int, FloType]:
    if len(header) == _HEADER.size:
        mark, width_px, height_px = _HEADER.unpack(header)
        if mark == _MARK and width_px > 0 and height_px > 0:
            kinds: tuple[FloType, ...] = ("float16", "float32")
            for dtype in kinds:
                if size_bytes == flo_bytes(height_px, width_px, dtype):
                    return height_px, width_px, dtype
    raise MediaError(f"{path} is no .flo file, or not a whole one. Make it anew, or take its clip out.")
