"""Networks with their weights: one loaded copy per process and device, shared by all tasks."""

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar, cast

import torch
from torch import nn

from propainter.core.errors import WeightsError
from propainter.core.settings import Precision, Quantize
from propainter.models.checkpoints import FLOW_COMPLETION, GENERATOR, RAFT, Checkpoint
from propainter.models.flow_completion import FlowCompletion
from propainter.models.generator.int8 import use_int8
from propainter.models.generator.network import Generator
from propainter.models.raft.network import Raft
from propainter.models.weights import load_weights
from propainter.runtime.precision import exact_float32
from tasks.weights import Weights

Network = TypeVar("Network", bound=nn.Module)

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_loading = threading.Lock()


def raft(weights: Weights, device: str, precision: Precision) -> Raft:
    return _network(Raft, RAFT, weights, device, precision)


def flow_completion(weights: Weights, device: str, precision: Precision) -> FlowCompletion:
    return _network(FlowCompletion, FLOW_COMPLETION, weights, device, precision)


def generator(weights: Weights, device: str, precision: Precision, quantize: Quantize = "off") -> Generator:
    return _network(Generator, GENERATOR, weights, device, precision, quantize)


def _network(
    make: Callable[[], Network], checkpoint: Checkpoint, weights: Weights, device: str, precision: Precision,
    quantize: Quantize = "off",
) -> Network:  # fmt: skip
    with _loading:  # two threads that want the same network load it once
        return cast(Network, _loaded(make, checkpoint, weights, device, precision, quantize))


@lru_cache(maxsize=32)
def _loaded(
    make: Callable[[], nn.Module], checkpoint: Checkpoint, weights: Weights, device: str, precision: Precision,
    quantize: Quantize,
) -> nn.Module:  # fmt: skip
    exact_float32()
    network = make()
    digest = load_weights(
        network, weights.folder / checkpoint.file_name, expected=checkpoint if weights.verified else None
    )
    if digest != weights.digest(checkpoint):
        raise WeightsError(f"{weights.folder / checkpoint.file_name} was changed during the run. Run again.")
    if quantize == "int8":
        use_int8(network)
    return network.to(device=device, dtype=_DTYPES[precision])
