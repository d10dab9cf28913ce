"""VFID: how far results as a whole lie from the truth in the features of a video network.

The network (I3D in the published figures) is the user's: a TorchScript file that takes float32 (1, 3, T, H, W), RGB in
[-1, 1], and gives one vector of features per clip, (1, F) or (1, F, 1, ...). Any resizing is its own.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from propainter.core.errors import ShapeError, WeightsError


def load_i3d(path: Path) -> torch.jit.ScriptModule:
    """The feature extractor, on the CPU.

    Raises:
        WeightsError: there is no such file, or it is not TorchScript.
    """
    if not path.is_file():
        raise WeightsError(f"There is no file {path}. Give --i3d a TorchScript file.")
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-any-return]
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"{path} cannot be loaded as TorchScript. Save it with torch.jit.save.") from error


@torch.inference_mode()
def clip_features(i3d: torch.nn.Module, frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """One clip's features.

    Args:
        frames: RGB, (T, H, W, 3).

    Returns:
        (F,).

    Raises:
        ShapeError: the network cannot take the clip, or gives something else than one vector.
    """
    clip_13THW = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    try:
        features = i3d(clip_13THW)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ShapeError(
            f"The --i3d network cannot take {len(frames)} frames of {frames.shape[2]}x{frames.shape[1]}: {reason}."
        ) from error
    if features.ndim < 2 or features.shape[1] != features.numel():
        raise ShapeError(f"The --i3d network gave {tuple(features.shape)}. It must give one vector per clip, (1, F).")
    return np.asarray(features.double().flatten().numpy())


def frechet_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Between the Gaussians of two sets of vectors: |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)).

    With X, Y the centred vectors, A = X'X / (n - 1) and B alike, the roots of A B's eigenvalues are the singular values
    of X Y': exact where there are fewer clips than features, where a root of A itself is not.

    Args:
        a, b: (clips, F), at least two clips each.

    Raises:
        ShapeError: there is one clip, which has no spread.
    """
    if min(len(a), len(b)) < 2:
        raise ShapeError("VFID compares at least two clips with the truth. Give more clips.")
    centred_a, centred_b = ((features - features.mean(axis=0)) / np.sqrt(len(features) - 1) for features in (a, b))
    root_trace = np.linalg.svd(centred_a @ centred_b.T, compute_uv=False).sum()
    shift = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    return float(shift + np.square(centred_a).sum() + np.square(centred_b).sum() - 2 * root_trace)
