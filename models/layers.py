"""Building blocks that several networks share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal, Protocol, Self

import torch
from torch import Tensor, nn

from ..model_templates.channels import GROUPS
from .gradient_checkpoints import run_twice

Norm = Literal["none", "batch", "frozen", "group"]


class Group:
    """Channels that pruning keeps or drops together: of one map, or of maps that are added up."""


ChannelGroups = dict[nn.Module, tuple[Group | None, Group | None]]
"""For each layer, the group it gives and the group it takes; None where all channels must stay."""


class Prunable(Protocol):
    """A backbone, neck or head that tells which group each of its layers gives and takes."""

    def mark_channels(
        self, groups: ChannelGroups, maps: Sequence[Group | None]
    ) -> Sequence[Group | None]:
        """Add the layers of this part to `groups`, in the order in which they run.

        Args:
            groups: What the parts before this one have added; changed in place.
            maps: For each feature map that comes in, its group; None for the image.

        Returns:
            For each feature map that goes out, its group.

        Raises:
            ValueError: This part is built in a way that cannot be pruned.
        """


def mark_convolution(
    groups: ChannelGroups, layers: nn.Module, *, gives: Group, takes: Group | None
) -> None:
    """Add the layers of one `conv_norm_act` (of `groups=1`) to `groups`."""
    for index, layer in enumerate(layers.children()):
        # Only the first layer mixes channels; what follows works on each channel alone.
        groups[layer] = (gives, takes if index == 0 else None)


def conv_norm_act(
    in_channels: int,
    out_channels: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
    separable: bool = False,
    norm: Norm = "batch",
    activation: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """A same-padded convolution, its normalisation and its activation.

    A `separable` one is split into a 1x1 and a depthwise one, in YuNet's order (Wu et al. 2023).
    """
    layers: list[nn.Module] = []
    if separable:
        layers.append(nn.Conv2d(in_channels, out_channels, 1, bias=False))
        in_channels = groups = out_channels
    layers.append(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=kernel // 2 * dilation,
            dilation=dilation,
            groups=groups,
            bias=norm == "none",
        )
    )
    if norm == "batch":
        layers.append(nn.BatchNorm2d(out_channels))
    elif norm == "frozen":
        layers.append(FrozenBatchNorm(out_channels))
    elif norm == "group":
        layers.append(GroupNorm(GROUPS, out_channels))
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch normalisation that learns nothing: neither statistics nor factors and biases."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.requires_grad_(False)
        self.training = False

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Stays as in evaluation."""
        return super().train(False)


class GroupNorm(nn.GroupNorm):
    """Group normalisation that takes maps of one cell too, where groups have one channel."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def init_backbone(module: nn.Module) -> None:
    """Give every convolution He-normal weights (He et al. 2015, "Delving Deep"), in place.

    They are scaled by fan-in, which keeps the variance of the signal, also where convolutions are
    depthwise.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")


class Normalize(nn.Module):
    """Raw 0-255 BGR planar images to what the backbone expects: colour order, mean, std."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        colour: Literal["BGR", "RGB"],
    ) -> None:
        super().__init__()
        self.swap = colour == "RGB"
        # Not in the state dict: the template has them, and a checkpoint must not contradict it.
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """float32 (B, 3, H, W) 0-255 BGR to the same shape, normalised."""
        if self.swap:
            images = images.flip(1)
        return (images - self.mean) / self.std


class Subtract(nn.Module):
    """The part of `Normalize` that remains if the first convolution does the rest."""

    mean: Tensor

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to the same shape."""
        return images - self.mean


class Stages(nn.Module):
    """A backbone of a stem and consecutive stages, some of which are tapped.

    `forward` gives the maps of the tapped stages, finest first; `out_channels` their channels.

    Attributes:
        gradient_checkpoints: Whether stages keep no maps in training, see `run_twice`.

    Args:
        stem: The layers before the first stage.
        stages: Key, output channels and layers of each stage; those behind the last tapped one
            are never made.
        taps: Keys of the tapped stages.
        stem_channels: Channels of the stem's map if it is tapped too.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Iterable[tuple[int, int, nn.Module]],
        taps: Collection[int],
        *,
        stem_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.stem = stem
        self.gradient_checkpoints = False
        self.stem_tapped = stem_channels is not None
        self.stages = nn.ModuleList()
        self.tapped: list[bool] = []
        self.out_channels: list[int] = [] if stem_channels is None else [stem_channels]
        for key, channels, layers in stages:
            self.stages.append(layers)
            self.tapped.append(key in taps)
            if self.tapped[-1]:
                self.out_channels.append(channels)
            if sum(self.tapped) == len(taps):
                break

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W), sides multiples of the coarsest stride, to a map for each tapped stage."""
        x = self.stem(x)
        maps = [x] if self.stem_tapped else []
        twice = self.gradient_checkpoints and self.training and torch.is_grad_enabled()
        for stage, tapped in zip(self.stages, self.tapped, strict=True):
            x = run_twice(stage, x) if twice else stage(x)
            if tapped:
                maps.append(x)
        return maps


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2015), from a map to one of the same shape."""

    def __init__(self, channels: int, *, separable: bool = False) -> None:
        super().__init__()
        self.conv1 = conv_norm_act(channels, channels, separable=separable)
        self.conv2 = conv_norm_act(channels, channels, separable=separable, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return torch.relu(x + self.conv2(self.conv1(x)))

    def mark_channels(self, groups: ChannelGroups, added: Group) -> None:
        """Add the layers to `groups`; the map that comes in and the one that goes out: `added`."""
        inner = Group()
        mark_convolution(groups, self.conv1, gives=inner, takes=added)
        mark_convolution(groups, self.conv2, gives=added, takes=inner)
