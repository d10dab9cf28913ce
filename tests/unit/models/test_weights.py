"""Loading checkpoint files: what fits goes in whole, anything else gets one line."""

import hashlib
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from propainter.core.errors import WeightsError
from propainter.models.checkpoints import Checkpoint, check_released
from propainter.models.generator.attention import SparseAttention
from propainter.models.raft.encoder import Encoder
from propainter.models.weights import load_weights


def linear() -> nn.Module:
    return nn.Sequential(OrderedDict(first=nn.Linear(2, 3)))


def save(path: Path, tensors: dict[str, Tensor]) -> Checkpoint:
    """Write a checkpoint, and say what a released one of this content would be."""
    torch.save(tensors, path)
    content = path.read_bytes()
    return Checkpoint(
        file_name=path.name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), licence="none"
    )


def refusal(network: nn.Module, path: Path, expected: Checkpoint | None = None) -> str:
    with pytest.raises(WeightsError) as caught:
        load_weights(network, path, expected=expected)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_a_released_file_fills_the_network_and_its_digest_is_reported(tmp_path: Path) -> None:
    tensors = {"module.first.weight": torch.ones(3, 2), "module.first.bias": torch.arange(3.0)}
    expected = save(tmp_path / "w.pth", tensors)
    network = linear()
    assert load_weights(network, tmp_path / "w.pth", expected=expected) == expected.sha256
    assert network.get_parameter("first.bias").tolist() == [0, 1, 2]
    assert not network.training


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    assert "No such file" in refusal(linear(), tmp_path / "w.pth")


def test_a_truncated_file_is_named_with_its_sizes(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    expected = save(path, linear().state_dict())
    path.write_bytes(path.read_bytes()[:500])
    assert f"500 of {expected.size_bytes} bytes" in refusal(linear(), path, expected)
    assert "cannot be read as a checkpoint" in refusal(linear(), path)


def test_a_changed_file_is_refused_though_it_would_load(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    expected = save(path, {"first.weight": torch.zeros(3, 2), "first.bias": torch.zeros(3)})
    save(path, {"first.weight": torch.ones(3, 2), "first.bias": torch.zeros(3)})
    assert expected.sha256[:12] in refusal(linear(), path, expected)
    with pytest.raises(WeightsError):
        check_released(path, expected)
    load_weights(linear(), path, expected=None)


def test_a_web_page_under_the_files_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_text("<html>Not found</html>")
    assert "cannot be read as a checkpoint" in refusal(linear(), tmp_path / "w.pth")


class _Touches:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_that_runs_code_is_refused_unrun(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps(_Touches(tmp_path / "ran"), protocol=2))
    refusal(linear(), tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"epoch": 3}])
def test_a_file_that_is_no_table_of_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    assert "no table of tensors" in refusal(linear(), tmp_path / "w.pth")


def test_another_networks_checkpoint_is_refused_by_its_keys(tmp_path: Path) -> None:
    save(tmp_path / "w.pth", {"first.weight": torch.zeros(3, 2)})
    assert "lacks 1 tensors (first.bias)" in refusal(linear(), tmp_path / "w.pth")
    save(tmp_path / "w.pth", linear().state_dict() | {"second.bias": torch.zeros(1)})
    assert "has the unknown 1 tensors (second.bias)" in refusal(linear(), tmp_path / "w.pth")


def test_a_wrong_shape_is_refused_with_both(tmp_path: Path) -> None:
    save(tmp_path / "w.pth", {"first.weight": torch.zeros(3, 4), "first.bias": torch.zeros(3)})
    assert "first.weight is [3, 4], but this network's is [3, 2]" in refusal(linear(), tmp_path / "w.pth")


def test_a_norm_under_two_names_must_be_one(tmp_path: Path) -> None:
    tensors = Encoder(nn.BatchNorm2d).state_dict()
    save(tmp_path / "w.pth", tensors)
    load_weights(Encoder(nn.BatchNorm2d), tmp_path / "w.pth", expected=None)
    tensors["layer2.0.norm3.bias"] = tensors["layer2.0.norm3.bias"] + 1
    save(tmp_path / "w.pth", tensors)
    assert "one tensor under two names" in refusal(Encoder(nn.BatchNorm2d), tmp_path / "w.pth")


def test_an_index_table_of_other_windows_is_refused(tmp_path: Path) -> None:
    tensors = SparseAttention(8).state_dict()
    assert tensors["valid_ind_rolled"].dtype == torch.int64
    tensors["valid_ind_rolled"] = tensors["valid_ind_rolled"].flip(0)
    save(tmp_path / "w.pth", tensors)
    assert "other tokens" in refusal(SparseAttention(8), tmp_path / "w.pth")
