"""The backbone of our own line: narrow 3x3 convolutions; int8 makes dense ones 3-4 x faster."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from ..model_templates.architecture import PlainSpec
from .layers import ResidualBlock, Stages, conv_norm_act


class Plain(Stages):
    """Stem of stride 2, then stages of a strided convolution and residual blocks.

    All stages but the first are tapped: strides 8, 16, …
    """

    def __init__(self, spec: PlainSpec) -> None:
        stem = conv_norm_act(3, spec.stem_channels, stride=2)
        super().__init__(stem, _stages(spec), range(1, len(spec.stages)))


def _stages(spec: PlainSpec) -> Iterator[tuple[int, int, nn.Module]]:
    before = spec.stem_channels
    for index, stage in enumerate(spec.stages):
        down = conv_norm_act(before, stage.channels, stride=2)
        blocks = (
            ResidualBlock(stage.channels, separable=spec.separable) for _ in range(stage.blocks)
        )
        yield index, stage.channels, nn.Sequential(down, *blocks)
        before = stage.channels
