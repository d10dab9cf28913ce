"""Which arithmetic a device has."""

from collections.abc import Iterable

import torch

from propainter.core.errors import SettingsError
from propainter.core.settings import Precision


def exact_float32() -> None:
    """Have fp32 mean it on a GPU too: torch lets convolutions round to TF32's ten bits. For a whole process."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def require_precision(precision: Precision, devices: Iterable[str]) -> None:
    """Refuse what a device would only emulate, many times slower than fp32.

    Args:
        devices: "cpu" or "cuda:N".

    Raises:
        SettingsError: one of them has no such arithmetic.
    """
    for device in devices:
        if not has_precision(precision, device):
            raise SettingsError(f"{device} has no {precision} arithmetic. Give --precision fp32, or other --devices.")


def has_precision(precision: Precision, device: str) -> bool:
    """Whether a device does this arithmetic itself.

    Args:
        device: "cpu" or "cuda:N".
    """
    if precision == "fp32":
        return True
    if device == "cpu":
        supported = {
            "bf16": torch.ops.mkldnn._is_mkldnn_bf16_supported,
            "fp16": torch.ops.mkldnn._is_mkldnn_fp16_supported,
        }
        return bool(supported[precision]())
    return precision == "fp16" or torch.cuda.get_device_capability(device) >= (8, 0)
