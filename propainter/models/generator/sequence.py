"""The generator along a run of frames: window by window, each frame encoded once and each pair's motion found once.

Axes: T frames, L local frames of a window, H rows, W columns.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from propainter.core.errors import ShapeError
from propainter.core.frames import FrameRange
from propainter.models.generator.network import EncodedFrames, Generator
from propainter.models.generator.propagation import Motion
from propainter.ops.regions import Region, Span
from propainter.ops.windows import Window

_Item = TypeVar("_Item")


@torch.inference_mode()
def refine_windows(
    generator: Generator,
    frames_T3HW: Tensor,
    hole: NDArray[np.bool_],
    still_hole: NDArray[np.bool_],
    flow: NDArray[np.float32],
    windows: Sequence[Window],
) -> Iterator[tuple[FrameRange, NDArray[np.uint8]]]:
    """Predict the local frames of each window that holds a hole.

    Args:
        generator: on the device where it shall run.
        frames_T3HW: RGB in [-1, 1] after image propagation, 0 in what is still hole.
        hole: (T, H, W), the original holes.
        still_hole: (T, H, W), what image propagation left of them.
        flow: (T - 1, 2, 2, H, W), completed.
        windows: their frames counted from the first of these.

    Yields:
        In the order of windows: local frames, and their prediction in 8 bits, (L, H, W, 3); of each frame, nothing
        is predicted but the rectangle around its hole.

    Raises:
        ShapeError: the arrays do not go together.
    """
    T = len(frames_T3HW)
    if not len(hole) == len(still_hole) == len(flow) + 1 == T:
        raise ShapeError(f"{T} frames, {len(hole)} and {len(still_hole)} holes, {len(flow)} flows do not go together.")
    device = next(generator.parameters()).device

    def encode(frame: int) -> EncodedFrames:
        one = slice(frame, frame + 1)
        holes = (torch.from_numpy(mask[one]).to(device, torch.float32)[:, None] for mask in (hole, still_hole))
        return generator.encode(frames_T3HW[one].to(device), *holes)

    def motion(pair: int) -> Motion:
        return Motion.of(torch.from_numpy(flow[pair : pair + 1]).to(device))

    encoded, motions = _Kept(encode), _Kept(motion)
    todo = [window for window in windows if hole[window.local.start : window.local.stop].any()]
    for index, window in enumerate(todo):
        local = EncodedFrames.join([encoded[frame] for frame in window.local])
        references = [encoded[frame] for frame in window.references]
        pairs = range(window.local.start, window.local.stop - 1)
        output_L3HW = generator.refine(
            local,
            EncodedFrames.join(references) if references else None,
            Motion.join([motions[pair] for pair in pairs]),
            [_around(hole[frame]) for frame in window.local],
        )
        yield window.local, _to_8_bits(output_L3HW)
        rest = todo[index + 1 :]
        encoded.keep({frame for window in rest for frame in (*window.local, *window.references)})
        motions.keep({frame for window in rest for frame in window.local})


def _around(hole_HW: NDArray[np.bool_]) -> Region | None:
    """The smallest rectangle that holds a hole."""
    spans = []
    for axis in (1, 0):
        places = np.flatnonzero(hole_HW.any(axis=axis))
        if not len(places):
            return None
        spans.append(Span(int(places[0]), int(places[-1]) + 1, hole_HW.shape[1 - axis]))
    return Region(*spans)


class _Kept(Generic[_Item]):
    """What was made for an index, until it is no longer needed."""

    def __init__(self, make: Callable[[int], _Item]) -> None:
        self._make = make
        self._items: dict[int, _Item] = {}

    def __getitem__(self, index: int) -> _Item:
        if index not in self._items:
            self._items[index] = self._make(index)
        return self._items[index]

    def keep(self, needed: set[int]) -> None:
        self._items = {index: item for index, item in self._items.items() if index in needed}


def _to_8_bits(output_L3HW: Tensor) -> NDArray[np.uint8]:
    """[-1, 1] to 0..255, truncated, as the released code does."""
    return (
        ((output_L3HW.to(torch.float32) + 1) / 2 * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    )
