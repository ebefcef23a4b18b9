"""Convolutions without padding: the backbone of the classic small classifier."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..model_templates.backbones import ValidSpec
from .layers import ChannelGroups, Group, init_backbone


class Valid(nn.Module):
    """3x3 convolutions without padding, each with ReLU."""

    def __init__(self, spec: ValidSpec) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for wider in spec.channels:
            layers += [nn.Conv2d(channels, wider, 3), nn.ReLU()]
            channels = wider
        self.layers = nn.Sequential(*layers)
        # With PyTorch's own first weights and no normalisation, 0.3 % of the signal is left.
        init_backbone(self)
        self.out_channels = [channels]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one map, smaller by 2 pixels per layer."""
        return [self.layers(x)]

    def mark_channels(
        self, groups: ChannelGroups, maps: Sequence[Group | None]
    ) -> Sequence[Group | None]:
        """See `Prunable`."""
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                (before,) = maps
                maps = [Group()]
                groups[layer] = (maps[0], before)
        return maps
