"""The backbone of our own line: 3x3 convolutions of few channels.

In int8 the dense ones are 3 to 4 times as fast as in float.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from ..model_templates.backbones import PlainSpec
from .layers import (
    ChannelGroups,
    Group,
    ResidualBlock,
    Stages,
    conv_norm_act,
    mark_convolution,
)


class Plain(Stages):
    """Stem of stride 2, then stages of a strided convolution and residual blocks."""

    def __init__(self, spec: PlainSpec) -> None:
        stem = conv_norm_act(3, spec.stem_channels, stride=2)
        super().__init__(
            stem,
            _stages(spec),
            range(1 if spec.finest == 8 else 0, len(spec.stages)),
            stem_channels=spec.stem_channels if spec.finest == 2 else None,
        )

    def mark_channels(self, groups: ChannelGroups, maps: Sequence[Group | None]) -> list[Group]:
        """See `Prunable`."""
        (image,) = maps
        before = Group()
        mark_convolution(groups, self.stem, gives=before, takes=image)
        outputs = [before] if self.stem_tapped else []
        for stage, tapped in zip(self.stages, self.tapped, strict=True):
            added = Group()
            for layers in stage.children():
                if isinstance(layers, ResidualBlock):
                    layers.mark_channels(groups, added)
                else:
                    mark_convolution(groups, layers, gives=added, takes=before)
            before = added
            if tapped:
                outputs.append(added)
        return outputs


def _stages(spec: PlainSpec) -> Iterator[tuple[int, int, nn.Module]]:
    before = spec.stem_channels
    for index, stage in enumerate(spec.stages):
        down = conv_norm_act(before, stage.channels, stride=2)
        blocks = (
            ResidualBlock(stage.channels, separable=spec.separable) for _ in range(stage.blocks)
        )
        yield index, stage.channels, nn.Sequential(down, *blocks)
        before = stage.channels
