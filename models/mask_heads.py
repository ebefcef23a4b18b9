"""Heads that give a logit of each class for every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..model_templates.heads import ASPPHeadSpec, UNetHeadSpec
from .layers import ChannelGroups, Group, conv_norm_act, mark_convolution
from .map_size import map_size


class UNetHead(nn.Module):
    """Joins a backbone's maps from the coarsest to the finest (Ronneberger et al. 2015)."""

    def __init__(self, spec: UNetHeadSpec, in_channels: list[int]) -> None:
        super().__init__()
        self.stride = spec.stride
        coarsest, *skips = reversed(in_channels)
        stage = _Sum if spec.skips == "add" else _Concatenation
        self.stages = nn.ModuleList(
            stage(before, skip, after, convolutions=spec.convolutions)
            for (before, after), skip in zip(
                pairwise([coarsest, *spec.channels]), skips, strict=True
            )
        )
        self.logits = nn.Conv2d(spec.channels[-1], spec.classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Logits (B, classes, H, W) from the maps of an image of H x W, finest first."""
        x, *skips = reversed(maps)
        for stage, skip in zip(self.stages, skips, strict=True):
            x = stage(x, skip)
        return _enlarged(self.logits(x), self.stride)

    def mark_channels(self, groups: ChannelGroups, maps: Sequence[Group | None]) -> list[Group]:
        """See `Prunable`."""
        deep, *skips = reversed(maps)
        for stage, skip in zip(self.stages, skips, strict=True):
            if not isinstance(stage, _Sum):
                raise ValueError("its head has skips 'concat'; expected 'add'")
            deep = stage.mark_channels(groups, deep, skip)
        groups[self.logits] = (None, deep)
        return []


class _Concatenation(nn.Module):
    """Puts the channels of two maps together, as the paper does."""

    def __init__(self, deep: int, skip: int, channels: int, *, convolutions: int) -> None:
        super().__init__()
        self.layers = _convolutions(deep + skip, channels, convolutions)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        joined: Tensor = self.layers(torch.cat((_nearest(deep, skip), skip), dim=1))
        return joined


class _Sum(nn.Module):
    """Adds two maps up, as a feature pyramid does: cheap at fine strides."""

    def __init__(self, deep: int, skip: int, channels: int, *, convolutions: int) -> None:
        super().__init__()
        self.deep = conv_norm_act(deep, channels, kernel=1, activation=None)
        self.skip = conv_norm_act(skip, channels, kernel=1, activation=None)
        self.layers = _convolutions(channels, channels, convolutions)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        added = torch.relu(_nearest(self.deep(deep), skip) + self.skip(skip))
        joined: Tensor = self.layers(added)
        return joined

    def mark_channels(self, groups: ChannelGroups, deep: Group | None, skip: Group | None) -> Group:
        added = Group()
        mark_convolution(groups, self.deep, gives=added, takes=deep)
        mark_convolution(groups, self.skip, gives=added, takes=skip)
        for layers in self.layers.children():
            before, added = added, Group()
            mark_convolution(groups, layers, gives=added, takes=before)
        return added


class ASPPHead(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2017, https://arxiv.org/abs/1706.05587)."""

    def __init__(self, spec: ASPPHeadSpec, in_channels: list[int]) -> None:
        super().__init__()
        self.stride = spec.stride
        inside, channels = in_channels[-1], spec.channels
        self.branches = nn.ModuleList(
            [
                conv_norm_act(inside, channels, kernel=1),
                *(conv_norm_act(inside, channels, dilation=rate) for rate in spec.rates),
            ]
        )
        self.average = conv_norm_act(inside, channels, kernel=1, norm="none")
        # Convolution of all branches' joined channels; that of the average is the same everywhere
        # and is added, so that no map of equal numbers has to be made.
        self.joined = nn.Conv2d(channels * len(self.branches), channels, 1, bias=False)
        self.joined_average = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Dropout(spec.dropout))
        self.last = conv_norm_act(channels, channels)
        self.logits = nn.Conv2d(channels, spec.classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Logits (B, classes, H, W) from the maps of an image of H x W, finest first."""
        x = maps[-1]
        branches = torch.cat([branch(x) for branch in self.branches], dim=1)
        average = self.joined_average(self.average(x.mean((2, 3), keepdim=True)))
        joined = self.norm(self.joined(branches) + average)
        return _enlarged(self.logits(self.last(joined)), self.stride)


def _convolutions(before: int, channels: int, count: int) -> nn.Sequential:
    sizes = [before, *[channels] * count]
    return nn.Sequential(*(conv_norm_act(one, other) for one, other in pairwise(sizes)))


def _nearest(x: Tensor, finer: Tensor) -> Tensor:
    """A map enlarged to the size of a finer one."""
    return functional.interpolate(x, size=map_size(finer), mode="nearest")


def _enlarged(logits: Tensor, stride: int) -> Tensor:
    """Logits at the input's size, without `align_corners`, which breaks mobile GPU delegates."""
    height, width = map_size(logits)
    size = (height * stride, width * stride)
    return functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
