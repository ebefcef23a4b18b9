"""The backbone of our own line: narrow 3x3 convolutions; int8 makes dense ones 3-4 x faster."""

from __future__ import annotations

from torch import Tensor, nn

from ..model_templates.architecture import PlainSpec
from .layers import ResidualBlock, conv_norm_act


class Plain(nn.Module):
    """Stem of stride 2, then stages of a strided convolution and residual blocks.

    `forward` gives the maps of all stages but the first: strides 8, 16, …
    """

    def __init__(self, spec: PlainSpec) -> None:
        super().__init__()
        self.stem = conv_norm_act(3, spec.stem_channels, stride=2)
        self.stages = nn.ModuleList()
        channels = spec.stem_channels
        for stage in spec.stages:
            down = conv_norm_act(channels, stage.channels, stride=2)
            channels = stage.channels
            blocks = (
                ResidualBlock(channels, separable=spec.separable) for _ in range(stage.blocks)
            )
            self.stages.append(nn.Sequential(down, *blocks))
        self.out_channels = [stage.channels for stage in spec.stages[1:]]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W), H and W multiples of the coarsest stride, to the maps, finest first."""
        x = self.stages[0](self.stem(x))
        maps = []
        for stage in self.stages[1:]:
            x = stage(x)
            maps.append(x)
        return maps
