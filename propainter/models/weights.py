"""How a checkpoint file's tensors get into a network.

Owns reading, checking and loading; which files there are is checkpoints.py's, where they are kept the caller's.
"""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from propainter.core.errors import WeightsError
from propainter.models.checkpoints import Checkpoint, require_released

_INDEX_TABLE = "valid_ind_rolled"
_SHOWN_KEYS = 3


def load_weights(network: nn.Module, path: Path, *, expected: Checkpoint | None) -> str:
    """Fill a network from a file, strictly, and make it ready for inference.

    Args:
        network: its keys and shapes must be the file's, `module.` prefixes aside.
        path: a state dict as torch writes it; nothing but tensors is unpickled.
        expected: the released file that it must be, byte for byte; None for weights of one's own.

    Returns:
        The file's sha256.

    Raises:
        WeightsError: no such file, truncated, another file than expected, or not this network's.
    """
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    if expected is not None:
        require_released(path, len(content), digest, expected)
    tensors = _without_prefix(_unpickle(path, content))
    _check_fit(path, tensors, network.state_dict())
    network.load_state_dict(tensors, strict=True)
    network.eval().requires_grad_(False)
    return digest


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightsError(f"{path}: {reason}. Fetch the weights, or give the folder that holds them.") from error


def _unpickle(path: Path, content: bytes) -> Mapping[str, Tensor]:
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen types here, none of them documented
        raise WeightsError(f"{path} cannot be read as a checkpoint: damaged, or another kind of file.") from error
    if not isinstance(loaded, Mapping) or not all(isinstance(tensor, Tensor) for tensor in loaded.values()):
        raise WeightsError(f"{path} holds no table of tensors. Give a state dict as torch.save writes it.")
    return loaded


def _without_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys as in the network: training on several GPUs puts `module.` before each."""
    return {key.removeprefix("module."): tensor for key, tensor in tensors.items()}


def _check_fit(path: Path, tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Say in one line what load_state_dict would say in hundreds."""
    for what, keys in (("lacks", own.keys() - tensors.keys()), ("has the unknown", tensors.keys() - own.keys())):
        if keys:
            shown = ", ".join(sorted(keys)[:_SHOWN_KEYS]) + (", ..." if len(keys) > _SHOWN_KEYS else "")
            raise WeightsError(f"{path} {what} {len(keys)} tensors ({shown}): another network's checkpoint.")
    for key, tensor in tensors.items():
        if tensor.shape != own[key].shape:
            raise WeightsError(f"{path}: {key} is {list(tensor.shape)}, but this network's is {list(own[key].shape)}.")
        if key.endswith(_INDEX_TABLE) and not torch.equal(tensor, own[key]):
            raise WeightsError(f"{path}: {key} names other tokens than this network's windows of 5x9 have.")
    for key, other in ((key, key.replace(".norm3.", ".downsample.1.")) for key in tensors if ".norm3." in key):
        if not torch.equal(tensors[key], tensors[other]):
            raise WeightsError(f"{path}: {key} and {other} are one tensor under two names, but differ.")
