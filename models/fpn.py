"""Feature pyramid network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..model_templates.architecture import FPNSpec
from .layers import ChannelGroups, Group, Norm, conv_norm_act, mark_convolution
from .map_size import map_size


class FPN(nn.Module):
    """Top-down pathway with lateral connections (Lin et al. 2017)."""

    def __init__(self, spec: FPNSpec, in_channels: list[int]) -> None:
        super().__init__()
        norm: Norm = "batch" if spec.batch_norm else "none"
        activation = nn.ReLU if spec.batch_norm else None
        channels = spec.channels
        self.laterals = nn.ModuleList(
            conv_norm_act(c, channels, kernel=1, norm=norm, activation=activation)
            for c in in_channels
        )
        self.smooth = nn.ModuleList(
            conv_norm_act(
                channels, channels, separable=spec.separable, norm=norm, activation=activation
            )
            for _ in in_channels
        )
        added = spec.levels - len(in_channels)
        self.start = spec.extra
        self.pooled = added if spec.extra == "max_pool" else 0
        sources = [in_channels[-1] if spec.extra == "c5" else channels, *[channels] * added]
        self.extra = nn.ModuleList(
            conv_norm_act(source, channels, stride=2, norm=norm, activation=activation)
            for source in sources[: added - self.pooled]
        )
        self.context = nn.ModuleList(
            ContextModule(channels) for _ in range(spec.levels if spec.context else 0)
        )
        self.out_channels = [channels] * spec.levels

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Make `levels` maps with `channels` channels from backbone maps, finest first."""
        laterals = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        for i in range(len(laterals) - 1, 0, -1):
            # Resized to a given size, as a factor does not fit maps of odd size (416 / 32 = 13).
            laterals[i - 1] = laterals[i - 1] + functional.interpolate(
                laterals[i], size=map_size(laterals[i - 1]), mode="nearest"
            )
        outputs = [smooth(x) for smooth, x in zip(self.smooth, laterals, strict=True)]
        source = maps[-1] if self.start == "c5" else outputs[-1]
        for index, extra in enumerate(self.extra):
            if index or self.start == "p5_relu":
                # Without ReLU, two linear convolutions would follow each other.
                source = torch.relu(source)
            source = extra(source)
            outputs.append(source)
        for _ in range(self.pooled):
            outputs.append(functional.max_pool2d(outputs[-1], 1, stride=2))
        if len(self.context):
            outputs = [context(x) for context, x in zip(self.context, outputs, strict=True)]
        return outputs

    def mark_channels(self, groups: ChannelGroups, maps: Sequence[Group | None]) -> list[Group]:
        """See `Prunable`."""
        if len(self.context):
            raise ValueError("its neck has context; expected none")
        if self.start != "p5_relu":
            raise ValueError(f"its neck has extra {self.start!r}; expected 'p5_relu'")
        added = Group()
        outputs = []
        for lateral, smooth, source in zip(self.laterals, self.smooth, maps, strict=True):
            mark_convolution(groups, lateral, gives=added, takes=source)
            outputs.append(Group())
            mark_convolution(groups, smooth, gives=outputs[-1], takes=added)
        for extra in self.extra:
            source = outputs[-1]
            outputs.append(Group())
            mark_convolution(groups, extra, gives=outputs[-1], takes=source)
        return outputs


class ContextModule(nn.Module):
    """Three convolutions in a row whose outputs are concatenated (after SSH, 2017).

    They are 1x1 and linear, as in the public code of face-detection-0206 (`RSSH` of MMDetection's
    fork for OpenVINO Training Extensions), though SSH has 3x3 ones in three branches.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.first = conv_norm_act(channels, half, kernel=1, norm="none", activation=None)
        self.second = conv_norm_act(half, quarter, kernel=1, norm="none", activation=None)
        self.third = conv_norm_act(quarter, quarter, kernel=1, norm="none", activation=None)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        first = self.first(x)
        second = self.second(first)
        return torch.cat((first, second, self.third(second)), dim=1)
