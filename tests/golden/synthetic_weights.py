"""Checkpoint files that hold the synthetic weights, as the released ones hold theirs."""

from pathlib import Path

import torch
from synthetic_networks import synthetic_tensors

from propainter.models.checkpoints import FLOW_COMPLETION, GENERATOR, RAFT
from propainter.models.flow_completion import FlowCompletion
from propainter.models.generator.network import Generator
from propainter.models.raft.network import Raft


def write_weights(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for checkpoint, network, prefix in (
        (RAFT, Raft(), "module."),
        (FLOW_COMPLETION, FlowCompletion(), ""),
        (GENERATOR, Generator(), ""),
    ):
        tensors = synthetic_tensors(checkpoint.file_name, network)
        torch.save({prefix + key: tensor for key, tensor in tensors.items()}, folder / checkpoint.file_name)
    return folder
