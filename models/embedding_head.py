"""The head of a recogniser: a vector for the whole image."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ..model_templates.embedding_head import EmbeddingHeadSpec
from .layers import ChannelGroups, Group

_LEAST = 1e-6
"""Added to mean squares before their roots are divided by; FP16 still has it."""


class EmbeddingHead(nn.Module):
    """Adds up or averages the last map, and projects it to a vector that is not normalised.

    Both layers are linear with batch normalisation behind, as in MobileFaceNet (Chen et al. 2018).
    """

    def __init__(self, spec: EmbeddingHeadSpec, in_channels: list[int]) -> None:
        super().__init__()
        channels = in_channels[-1]
        self.pool: nn.Module | None = None
        if spec.kernel is not None:
            self.pool = nn.Sequential(
                nn.Conv2d(channels, channels, spec.kernel, groups=channels, bias=False),
                nn.BatchNorm2d(channels),
            )
        self.dropout = nn.Dropout(spec.dropout)
        self.project = nn.Sequential(
            nn.Conv2d(channels, spec.size, 1, bias=False), nn.BatchNorm2d(spec.size)
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Vectors (B, size) from the last feature map."""
        x = maps[-1]
        pooled = x.mean((2, 3), keepdim=True) if self.pool is None else self.pool(x)
        vectors: Tensor = self.project(self.dropout(pooled)).flatten(1)
        return vectors

    def mark_channels(self, groups: ChannelGroups, maps: Sequence[Group | None]) -> list[Group]:
        """See `Prunable`."""
        source = maps[-1]
        if self.pool is not None:
            for layer in self.pool.children():
                # Works on each channel alone.
                groups[layer] = (source, None)
        convolution, norm = self.project.children()
        groups[convolution], groups[norm] = (None, source), (None, None)
        return []


def unit_length(vectors: Tensor) -> Tensor:
    """Vectors (B, size) divided by their lengths.

    By the mean of squares, an operation that all formats have for feature maps too.
    """
    squares = (vectors * vectors).mean(1, keepdim=True)
    return vectors / ((squares + _LEAST).sqrt() * math.sqrt(vectors.shape[1]))
