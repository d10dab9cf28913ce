from pathlib import Path

import numpy as np
import pytest
import torch

from propainter.core.errors import ShapeError, WeightsError
from propainter.metrics.vfid import clip_features, frechet_distance, load_i3d

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # nothing else is read without its code


def gaussian(mean: list[float], covariance: np.ndarray, count: int = 50) -> np.ndarray:
    """Vectors with exactly this mean and sample covariance."""
    drawn = np.random.default_rng(len(mean)).normal(size=(count, len(mean)))
    drawn -= drawn.mean(axis=0)
    white = drawn @ np.linalg.inv(np.linalg.cholesky(np.cov(drawn, rowvar=False))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def test_a_shift_counts_squared() -> None:
    spread = np.array([[2.0, 0.5], [0.5, 1.0]])
    assert frechet_distance(gaussian([0, 0], spread), gaussian([3, 4], spread)) == pytest.approx(25)


def test_spreads_along_the_same_axes_differ_by_their_roots() -> None:
    narrow, wide = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 16.0, 1.0])
    # (1 - 2)^2 + (2 - 4)^2 + (3 - 1)^2
    assert frechet_distance(gaussian([0, 0, 0], narrow), gaussian([0, 0, 0], wide)) == pytest.approx(9)


def test_spreads_that_do_not_commute_agree_with_the_closed_form_of_two_dimensions() -> None:
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[5.0, -2.0], [-2.0, 1.5]])
    # tr (A B)^(1/2) = (tr A B + 2 (det A B)^(1/2))^(1/2)
    root_trace = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    expected = np.trace(a) + np.trace(b) - 2 * root_trace
    assert frechet_distance(gaussian([1, 1], a), gaussian([1, 1], b)) == pytest.approx(expected)


def test_fewer_clips_than_features_still_give_a_distance() -> None:
    few = np.random.default_rng(0).normal(size=(3, 400))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(few, few + 0.1) == pytest.approx(4)


def test_one_clip_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least two clips"):
        frechet_distance(np.zeros((1, 4)), np.zeros((3, 4)))


class MeanColour(torch.nn.Module):
    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return clip.mean(dim=(3, 4), keepdim=True).mean(dim=2, keepdim=True)


def test_features_come_from_a_torchscript_file_that_sees_colours_from_minus_one_to_one(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(MeanColour(), torch.zeros(1, 3, 2, 8, 8)), str(tmp_path / "i3d.pt"))
    frames = np.empty((5, 16, 24, 3), np.uint8)
    frames[...] = (0, 255, 51)
    np.testing.assert_allclose(clip_features(load_i3d(tmp_path / "i3d.pt"), frames), [-1, 1, -0.6], atol=1e-6)


def test_a_network_that_gives_no_single_vector_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"gave \(1, 3, 2, 8, 8\)"):
        clip_features(torch.nn.Identity(), np.zeros((2, 8, 8, 3), np.uint8))


def test_a_network_that_cannot_take_the_clip_is_named_with_its_reason() -> None:
    with pytest.raises(ShapeError, match="cannot take 2 frames of 8x8"):
        clip_features(torch.nn.Conv3d(3, 1, 5), np.zeros((2, 8, 8, 3), np.uint8))


def test_a_file_that_is_no_torchscript_is_refused(tmp_path: Path) -> None:
    (tmp_path / "i3d.pt").write_bytes(b"weights")
    with pytest.raises(WeightsError, match="TorchScript"):
        load_i3d(tmp_path / "i3d.pt")
