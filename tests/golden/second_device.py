"""A second device for machines that have none: its tensors say that they lie elsewhere, and are computed on the CPU.

What is written for a GPU runs as it would there, with one difference in speed and none in rules: an operation on
tensors of both devices raises, as CUDA's do. It is called meta, which torch accepts without a driver.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("meta")

_ON_BOTH = (
    torch.ops.aten._to_copy.default,
    torch.ops.aten.copy_.default,
    torch.ops.aten._has_compatible_shallow_copy_type.default,
)


class _Elsewhere(Tensor):
    """Holds a tensor of the CPU, and says that it lies on DEVICE."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> "_Elsewhere":
        elsewhere = Tensor._make_wrapper_subclass(
            cls, here.size(), strides=here.stride(), storage_offset=here.storage_offset(),
            dtype=here.dtype, device=DEVICE,
        )  # fmt: skip
        elsewhere.here = here
        return elsewhere

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(operation, args, kwargs or {})


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(operation, args, kwargs or {})


@contextmanager
def second_device() -> Iterator[torch.device]:
    """Within, tensors and modules may be made on this device and moved there and back; inference only."""
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with torch.inference_mode(), _Mode():
            yield DEVICE
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrites)


def _compute(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    named = dict(zip((argument.name for argument in operation._schema.arguments), args, strict=False)) | kwargs
    tensors = [leaf for leaf in tree_leaves(named) if isinstance(leaf, Tensor)]
    elsewhere = any(isinstance(tensor, _Elsewhere) for tensor in tensors)
    if named.get("device") is not None:
        elsewhere = torch.device(named["device"]) == DEVICE
        named["device"] = torch.device("cpu")
    elif elsewhere and operation not in _ON_BOTH:
        # A tensor without axes is a number: it may lie anywhere.
        strays = [tuple(t.shape) for t in tensors if t.dim() and not isinstance(t, _Elsewhere)]
        if strays:
            raise RuntimeError(f"{operation} got tensors of both devices; on the CPU are those of shapes {strays}.")
    result = operation(**tree_map_only(_Elsewhere, lambda tensor: tensor.here, named))
    if operation._schema.is_mutable:
        return named.get("out", tensors[0])
    return tree_map_only(Tensor, _Elsewhere, result) if elsewhere else result
