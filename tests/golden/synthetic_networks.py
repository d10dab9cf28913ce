"""Networks that carry the synthetic weights, loaded strictly, as the golden data was made with."""

import json
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from synthetic_checkpoint import synthetic_state_dict
from torch import Tensor, nn

DATA = Path(__file__).parent / "data"
SHAPES: dict[str, dict[str, list[int]]] = json.loads((DATA / "state_dict_shapes.json").read_text())


Network = TypeVar("Network", bound=nn.Module)


def synthetic_tensors(file_name: str, network: nn.Module) -> dict[str, Tensor]:
    """Every tensor of one checkpoint; index tables, which are no weights, are the network's own."""
    shapes = {key: tuple(shape) for key, shape in SHAPES[file_name].items()}
    tensors = {key: torch.from_numpy(np.asarray(array)) for key, array in synthetic_state_dict(shapes).items()}
    tables = {key: tensor for key, tensor in network.state_dict().items() if key.endswith("valid_ind_rolled")}
    return tensors | tables


def with_synthetic_weights(file_name: str, network: Network) -> Network:
    network.load_state_dict(synthetic_tensors(file_name, network), strict=True)
    return network.eval()
