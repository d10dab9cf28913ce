"""The generator along a run of frames: window by window, each frame encoded once and each pair's motion found once.

Axes: T frames, L local frames of a window, H rows, W columns.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from propainter.core.errors import ShapeError
from propainter.core.frames import FrameRange
from propainter.models.generator.network import EncodedFrames, Generator
from propainter.models.generator.propagation import Motion
from propainter.ops.propagation import Pairs, unpack_propagated
from propainter.ops.regions import Region, Span
from propainter.ops.windows import Window

_Item = TypeVar("_Item")


@torch.inference_mode()
def refine_windows(
    generator: Generator,
    propagated: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    hole: NDArray[np.bool_],
    flow: Pairs,
    windows: Sequence[Window],
    *,
    frames_at_once: int = 4,
    frames_kept: int | None = None,
) -> Iterator[tuple[FrameRange, NDArray[np.uint8]]]:
    """Predict the local frames of each window that holds a hole.

    Args:
        generator: on the device where it shall run.
        propagated: T times (H, W, 4), RGB and code, as ops.propagation packs them. These and the flow are asked for
            one by one, so that they need not lie in memory.
        hole: (T, H, W), the original holes.
        flow: completed, of the pairs among these frames.
        windows: their frames counted from the first of these.
        frames_at_once: as the generator has it.
        frames_kept: of those that coming windows see too, how many stay encoded; None: all. Like frames_at_once a
            matter of memory, not of result.

    Yields:
        In the order of windows: local frames, and their prediction in 8 bits, (L, H, W, 3); of each frame, nothing
        is predicted but the rectangle around its hole.

    Raises:
        ShapeError: the arrays do not go together.
    """
    if not len(hole) == len(flow) + 1 == len(propagated):
        raise ShapeError(f"{len(propagated)} frames, {len(hole)} holes, {len(flow)} flows do not go together.")
    device = next(generator.parameters()).device

    def encode(frame: int) -> EncodedFrames:
        frame_13HW, still_hole = unpack_propagated(propagated[frame][None])
        holes = (torch.from_numpy(m).to(device, torch.float32)[:, None] for m in (hole[frame][None], still_hole))
        return generator.encode(frame_13HW.to(device), *holes)

    def motion(pair: int) -> Motion:
        return Motion.of(torch.from_numpy(flow[pair]).to(device)[None])

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
            frames_at_once=frames_at_once,
        )
        yield window.local, _to_8_bits(output_L3HW)
        rest = todo[index + 1 :]
        soonest = dict.fromkeys(frame for window in rest for frame in (*window.local, *window.references))
        encoded.keep(set(islice(soonest, frames_kept)))
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
