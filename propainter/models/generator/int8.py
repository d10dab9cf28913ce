"""The attention's linear layers in 8-bit whole numbers, for CPUs: experimental, docs/stages/propainter-engine.md says
what it gains and costs.

Weights are turned once, a scale for each output channel; inputs at every call, with the scale that each call asks for.
"""

import warnings

from torch import nn
from torch.ao.quantization import quantize_dynamic


def use_int8(generator: nn.Module) -> None:
    """Replace the layers, in place.

    Args:
        generator: in float32, on the CPU.
    """
    names = {
        name for name, layer in generator.named_modules() if isinstance(layer, nn.Linear) and ".attention." in name
    }
    with warnings.catch_warnings():
        # PyTorch has announced for years that this will move to a package of its own.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=UserWarning, message=".*(deprecated|quantiz).*")
        quantize_dynamic(generator, names, inplace=True)
