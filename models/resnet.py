"""ResNet (He et al. 2015, https://arxiv.org/abs/1512.03385) of bottleneck blocks."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..model_templates.backbones import ResNetSpec
from .layers import Stages, conv_norm_act, init_backbone

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STEM_CHANNELS = 64
EXPANSION = 4


class ResNet(Stages):
    """Stem and max pooling, then four stages, all tapped: strides 4, 8, 16 and 32."""

    def __init__(self, spec: ResNetSpec) -> None:
        stem = nn.Sequential(
            conv_norm_act(3, STEM_CHANNELS, kernel=7, stride=2),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        super().__init__(stem, _stages(spec), range(len(BLOCKS[spec.depth])))
        init_backbone(self)
        for module in self.modules():
            if isinstance(module, Bottleneck):
                # The branch is weak at first, or the signal would double at each of up to 50
                # blocks (Goyal et al. 2017, section 5.1, begin at zero).
                nn.init.constant_(module.branch[-1][1].weight, 0.2)  # type: ignore[index]


def _stages(spec: ResNetSpec) -> Iterator[tuple[int, int, nn.Module]]:
    before = STEM_CHANNELS
    for index, count in enumerate(BLOCKS[spec.depth]):
        width = STEM_CHANNELS * 2**index
        channels = width * EXPANSION
        first = Bottleneck(before, width, stride=1 if index == 0 else 2)
        others = (Bottleneck(channels, width, stride=1) for _ in range(count - 1))
        yield index, channels, nn.Sequential(first, *others)
        before = channels


class Bottleneck(nn.Module):
    """1x1 to `width`, 3x3, 1x1 to four times `width`, and a shortcut.

    The 3x3 has the stride, as since Goyal et al. 2017: it fits the published operations best.
    """

    def __init__(self, in_channels: int, width: int, *, stride: int) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.branch = nn.Sequential(
            conv_norm_act(in_channels, width, kernel=1),
            conv_norm_act(width, width, stride=stride),
            conv_norm_act(width, out_channels, kernel=1, activation=None),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = conv_norm_act(
                in_channels, out_channels, kernel=1, stride=stride, activation=None
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, 4 * width, H / stride, W / stride)."""
        return torch.relu(self.shortcut(x) + self.branch(x))
