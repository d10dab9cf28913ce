"""Modulated deformable convolution, in PyTorch; on a CPU its samples come from deform_conv.c, if that was compiled.

Axes: B batch, C and O channels in and out, G offset groups, K = 9 taps, H rows, W columns, N = H * W places:
    out_BOHW = deform_conv(image_BCHW, offset_BGK2HW, modulation_BGKHW, weight_OC33, bias_O)
Source: Zhu et al., Deformable ConvNets v2, CVPR 2019.
"""

import ctypes

import torch
from torch import Tensor
from torch.nn import functional as F

from propainter.ops.compiled import library
from propainter.ops.linear import ReadyLinear
from propainter.ops.threads import share_out

TAPS = 9

_FEWEST_PLACES = 256
"""Worth a thread."""

_PLACES_AT_ONCE = 16384
"""Samples are nine times what they are taken from, 75 MB for so many places of 128 channels; fewer take longer."""


def deform_conv(
    image_BCHW: Tensor, offset_BGK2HW: Tensor, modulation_BGKHW: Tensor, weight_OC33: Tensor, bias_O: Tensor
) -> Tensor:
    """A 3x3 convolution, padding 1, whose taps each read from a place and with a strength of their own.

    Args:
        image_BCHW: group g of the offsets moves the g-th slice of its channels.
        offset_BGK2HW: (dy, dx) in pixels, added to the tap's own place; taps row by row. Outside reads as 0.
        modulation_BGKHW: factor of each sample.
        weight_OC33: as of a convolution.
        bias_O: as of a convolution.

    Returns:
        (B, O, H, W), dtype and device of image_BCHW.
    """
    G = offset_BGK2HW.shape[1]
    weight_OGKc = weight_OC33.reshape(len(weight_OC33), G, -1, TAPS).transpose(2, 3)
    y_BNGK, x_BNGK = _places(offset_BGK2HW)
    modulation_BNGK = _by_place(modulation_BGKHW)
    layer = ReadyLinear.of(weight_OGKc.flatten(1), bias_O)
    B, _, H, W = image_BCHW.shape
    if image_BCHW.device.type == "cpu" and not torch.is_grad_enabled() and library() is not None:
        image_BHWC = image_BCHW.permute(0, 2, 3, 1).to(torch.float32).contiguous()
        out_BNO = image_BCHW.new_empty(B, H * W, len(weight_OC33))
        for b in range(B):
            for first in range(0, H * W, _PLACES_AT_ONCE):
                part = slice(first, first + _PLACES_AT_ONCE)
                samples_NGKc = _sample_compiled(
                    image_BHWC[b], y_BNGK[b, part], x_BNGK[b, part], modulation_BNGK[b, part]
                )
                out_BNO[b, part] = layer(samples_NGKc.flatten(1).to(image_BCHW.dtype))
    else:
        out_BNO = layer(_sample_by_grid(image_BCHW, y_BNGK, x_BNGK, modulation_BNGK).flatten(2))
    return out_BNO.view(B, H, W, -1).permute(0, 3, 1, 2)


def _by_place(x_BGKHW: Tensor) -> Tensor:
    """(B, N, G, K); no copy where a convolution left its channels last."""
    return x_BGKHW.permute(0, 3, 4, 1, 2).flatten(1, 2)


def _places(offset_BGK2HW: Tensor) -> tuple[Tensor, Tensor]:
    """Where each tap reads: y and x in pixels, float32 whatever the offsets are, (B, N, G, K)."""
    H, W = offset_BGK2HW.shape[-2:]
    taps_K = torch.arange(TAPS, device=offset_BGK2HW.device)
    places_N = torch.arange(H * W, device=offset_BGK2HW.device)[:, None, None]
    y_N1K = (places_N // W + taps_K // 3 - 1).to(torch.float32)
    x_N1K = (places_N % W + taps_K % 3 - 1).to(torch.float32)
    return _by_place(offset_BGK2HW[:, :, :, 0]) + y_N1K, _by_place(offset_BGK2HW[:, :, :, 1]) + x_N1K


def _sample_by_grid(image_BCHW: Tensor, y_BNGK: Tensor, x_BNGK: Tensor, modulation_BNGK: Tensor) -> Tensor:
    """(B, N, G, K, C / G) by grid sampling: the groups become images of their own.

    In float32 whatever the image is: in half precision a place between two pixels of a wide image cannot be told.
    """
    B, C, H, W = image_BCHW.shape
    N, G = x_BNGK.shape[1:3]
    grid_BNGK2 = torch.stack((2 * x_BNGK / max(W - 1, 1) - 1, 2 * y_BNGK / max(H - 1, 1) - 1), dim=-1)
    samples = F.grid_sample(
        image_BCHW.to(torch.float32).reshape(B * G, C // G, H, W),
        grid_BNGK2.transpose(1, 2).reshape(B * G, N, TAPS, 2),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=True,
    )
    samples_BNGKc = samples.view(B, G, C // G, N, TAPS).permute(0, 3, 1, 4, 2)
    return samples_BNGKc.to(image_BCHW.dtype) * modulation_BNGK[..., None]


def _sample_compiled(image_HWC: Tensor, y_NGK: Tensor, x_NGK: Tensor, modulation_NGK: Tensor) -> Tensor:
    """(N, G, K, C / G) by deform_conv.c: fast, because a place's channels lie side by side. Any places, in float32."""
    compiled = library()
    assert compiled is not None, "asked before"
    H, W, C = image_HWC.shape
    N, G, _ = y_NGK.shape
    y, x, modulation = (part.to(torch.float32).contiguous() for part in (y_NGK, x_NGK, modulation_NGK))
    out_NGKc = image_HWC.new_empty(N, G, TAPS, C // G)
    job = _Job(
        *(part.data_ptr() for part in (image_HWC, y, x, modulation, out_NGKc)),
        height=H, width=W, groups=G, taps=TAPS, channels=C // G,
    )  # fmt: skip

    def compute(first: int, last: int) -> None:
        compiled.sample(ctypes.byref(job), ctypes.c_long(first), ctypes.c_long(last))

    share_out(N, compute, fewest=_FEWEST_PLACES)
    return out_NGKc


class _Job(ctypes.Structure):
    """As in deform_conv.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("image", "y", "x", "strength", "out")),
        *((name, ctypes.c_long) for name in ("height", "width", "groups", "taps", "channels")),
    )
