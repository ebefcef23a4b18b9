"""The head of a classifier."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..model_templates.heads import ClassesHeadSpec
from .layers import ChannelGroups, Group


class ClassesHead(nn.Module):
    """Global average pooling, an optional hidden layer, dropout, and a logit for each label."""

    def __init__(self, spec: ClassesHeadSpec, in_channels: list[int]) -> None:
        super().__init__()
        channels = in_channels[-1]
        layers: list[nn.Module] = []
        if spec.hidden is not None:
            layers += [nn.Linear(channels, spec.hidden), nn.ReLU()]
            channels = spec.hidden
        self.layers = nn.Sequential(
            *layers, nn.Dropout(spec.dropout), nn.Linear(channels, spec.classes)
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Logits (B, classes) from the last feature map."""
        logits: Tensor = self.layers(maps[-1].mean((2, 3)))
        return logits

    def mark_channels(self, groups: ChannelGroups, maps: Sequence[Group | None]) -> list[Group]:
        """See `Prunable`."""
        *hidden, last = (layer for layer in self.layers if isinstance(layer, nn.Linear))
        source = maps[-1]
        for layer in hidden:
            made = Group()
            groups[layer] = (made, source)
            source = made
        groups[last] = (None, source)
        return []
