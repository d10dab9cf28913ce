"""One clip's figures frame by frame, and what is said of a clip or of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from propainter.metrics.psnr import psnr_db


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A clip's figures, or all clips'. NaN: not measured.

    psnr_db, ssim: mean over frames. hole_psnr_db: all hole pixels together. e_warp: mean over pairs of frames.
    """

    frames: int
    psnr_db: float
    hole_psnr_db: float
    ssim: float
    e_warp: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameScores:
    """Figures of T frames, in order.

    psnr_db, ssim: (T,). hole_error, hole_values: (T,), as `squared_error` gives them of the hole. e_warp: of the pairs.
    """

    psnr_db: NDArray[np.float64]
    ssim: NDArray[np.float64]
    hole_error: NDArray[np.float64]
    hole_values: NDArray[np.int64]
    e_warp: NDArray[np.float64]

    @property
    def hole_psnr_db(self) -> NDArray[np.float64]:
        """(T,); NaN for a frame without a hole."""
        return psnr_db(self.hole_error, self.hole_values)

    def summary(self) -> Summary:
        return Summary(
            frames=len(self.psnr_db),
            psnr_db=_mean(self.psnr_db),
            hole_psnr_db=float(psnr_db(self.hole_error.sum(), self.hole_values.sum())),
            ssim=_mean(self.ssim),
            e_warp=_mean(self.e_warp),
        )


def joined(parts: Sequence[FrameScores]) -> FrameScores:
    """Parts of a clip, or several clips, as one; the published means are over all frames of all clips."""
    return FrameScores(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(FrameScores)}
    )


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
