"""What the datasets are given: clips whose frames and flow can be read at random. Who stores them is not known here."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Clip(Protocol):
    """One clip. Picklable where a loader's workers are to read it."""

    @property
    def name(self) -> str: ...

    @property
    def frames(self) -> int: ...

    def read_frames(self, frames: Sequence[int]) -> NDArray[np.uint8]:
        """RGB (n, H, W, 3), in the order asked for."""
        ...

    def read_flow(self, pairs: Sequence[int]) -> NDArray[np.float32]:
        """(n, 2, 2, H, W): forward then backward, (dx, dy) in pixels; pair t lies between frames t and t + 1."""
        ...


class MaskedClip(Clip, Protocol):
    """A clip that comes with its holes."""

    def read_holes(self, frames: Sequence[int]) -> NDArray[np.bool_]:
        """(n, H, W), True inside."""
        ...
