"""RAFT's encoders: a frame to features on an eighth of its sides.

Axes: T frames, H rows, W columns; h, w an eighth of them:
    features_T256hw = encoder(frames_T3HW)
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from propainter.models.convolution import Conv1x1, Conv3x3

Norm = Callable[[int], nn.Module]

_EPSILON = 1e-5
"""Added to a variance, as torch's norms do."""


class Encoder(nn.Module):
    """A stem and three stages of two residual blocks; the stem and the last two stages halve the sides."""

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.norm1 = norm(64)
        self.layer1 = nn.Sequential(_ResidualBlock(64, 64, norm), _ResidualBlock(64, 64, norm))
        self.layer2 = nn.Sequential(_ResidualBlock(64, 96, norm, halve=True), _ResidualBlock(96, 96, norm))
        self.layer3 = nn.Sequential(_ResidualBlock(96, 128, norm, halve=True), _ResidualBlock(128, 128, norm))
        self.conv2 = Conv1x1(128, 256)

    def forward(self, frames_T3HW: Tensor) -> Tensor:
        stem = self.norm1(self.conv1(frames_T3HW)).relu_()
        features_T256hw: Tensor = self.conv2(self.layer3(self.layer2(self.layer1(stem))))
        return features_T256hw


class InstanceNorm(nn.Module):
    """Each channel of each frame to mean 0 and variance 1; fast where channels are last, which torch's copies."""

    def forward(self, x_TCHW: Tensor) -> Tensor:
        x_TNC = x_TCHW.permute(0, 2, 3, 1).flatten(1, 2).to(torch.float32)
        centred_TNC = x_TNC - x_TNC.mean(dim=1, keepdim=True)
        variance_T1C = centred_TNC.square().mean(dim=1, keepdim=True)
        normal_TNC = centred_TNC.mul_(variance_T1C.add_(_EPSILON).rsqrt_()).to(x_TCHW.dtype)
        normal_TCHW: Tensor = normal_TNC.unflatten(1, x_TCHW.shape[2:]).permute(0, 3, 1, 2)
        return normal_TCHW


class _ResidualBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, norm: Norm, *, halve: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1) if halve else Conv3x3(inputs, outputs)
        self.conv2 = Conv3x3(outputs, outputs)
        self.norm1 = norm(outputs)
        self.norm2 = norm(outputs)
        self.downsample: nn.Module = nn.Identity()
        if halve:
            # One norm under two names, because the checkpoint has both.
            self.norm3 = norm(outputs)
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2), self.norm3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm1(self.conv1(x)).relu_()
        y = self.norm2(self.conv2(y)).relu_()
        y = y + self.downsample(x)
        return y.relu_()
