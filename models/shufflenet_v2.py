"""ShuffleNetV2 1.0 (Ma et al. 2018, https://arxiv.org/abs/1807.11164), feature maps only."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..model_templates.backbones import ShuffleNetV2Spec
from .layers import Stages, conv_norm_act, init_backbone

STEM_CHANNELS = 24
STAGES = ((116, 4), (232, 8), (464, 4))
"""Channels and units of the three stages, strides 8, 16, 32 (table 5 of the paper, 1x)."""


class ShuffleNetV2(Stages):
    """Stem and max pooling, then stages of shuffle units up to the last tapped one.

    `spec.outputs` names the tapped stages by their channels.
    """

    def __init__(self, spec: ShuffleNetV2Spec) -> None:
        stem = nn.Sequential(conv_norm_act(3, STEM_CHANNELS, stride=2), FirstPixelPool())
        super().__init__(stem, _stages(), spec.outputs)
        init_backbone(self)


def _stages() -> Iterator[tuple[int, int, nn.Module]]:
    before = STEM_CHANNELS
    for channels, count in STAGES:
        units = (Unit(channels) for _ in range(count - 1))
        yield channels, channels, nn.Sequential(DownUnit(before, channels), *units)
        before = channels


class FirstPixelPool(nn.Module):
    """3x3 max pooling of stride 2 whose windows begin at the first pixel, not one before it.

    So does pytorchcv's, whose weights are those of face-detection-0207. Two poolings with equal
    padding and a crop do it, as not all formats can round a number of windows up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pairs = nn.MaxPool2d(2, stride=1, padding=1)
        self.windows = nn.MaxPool2d(2, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), even sides, to (B, C, H / 2, W / 2)."""
        y: Tensor = self.windows(self.pairs(x))
        return y[:, :, 1:, 1:]


class Unit(nn.Module):
    """Half of the channels pass, half go through 1x1, depthwise 3x3, 1x1; then a shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            conv_norm_act(half, half, kernel=1),
            conv_norm_act(half, half, groups=half, activation=None),
            conv_norm_act(half, half, kernel=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        kept, changed = x.chunk(2, dim=1)
        return shuffle(torch.cat((kept, self.branch(changed)), dim=1))


class DownUnit(nn.Module):
    """Two strided branches of all channels, each to half of the new ones; then a shuffle."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.first = nn.Sequential(
            conv_norm_act(in_channels, in_channels, stride=2, groups=in_channels, activation=None),
            conv_norm_act(in_channels, half, kernel=1),
        )
        self.second = nn.Sequential(
            conv_norm_act(in_channels, half, kernel=1),
            conv_norm_act(half, half, stride=2, groups=half, activation=None),
            conv_norm_act(half, half, kernel=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H / 2, W / 2)."""
        return shuffle(torch.cat((self.first(x), self.second(x)), dim=1))


def shuffle(x: Tensor) -> Tensor:
    """Interleave the two halves of the channels, so that the next unit mixes them."""
    # int() makes constants of the traced graph, whose input size is fixed; the batch stays free.
    channels, height, width = int(x.shape[1]), int(x.shape[2]), int(x.shape[3])
    pairs = x.reshape(-1, 2, channels // 2, height, width).transpose(1, 2)
    return pairs.reshape(-1, channels, height, width)
