"""MobileNetV2 (Sandler et al. 2018, https://arxiv.org/abs/1801.04381), feature maps only."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from ..model_templates.backbones import MobileNetV2Spec
from .layers import Stages, conv_norm_act, init_backbone

STAGES = (
    # expansion, channels, blocks, stride of the first block: table 2 of the paper
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM_CHANNELS = 32


class MobileNetV2(Stages):
    """Inverted residuals up to the last tapped stage; no 1x1 to 1280 channels behind it.

    `spec.outputs` names the tapped stages by their channels at width 1.
    """

    def __init__(self, spec: MobileNetV2Spec) -> None:
        channels = scaled_channels(STEM_CHANNELS, spec.width)
        stem = conv_norm_act(3, channels, stride=2, activation=nn.ReLU6)
        super().__init__(stem, _stages(spec, channels), spec.outputs)
        init_backbone(self)


def _stages(spec: MobileNetV2Spec, channels: int) -> Iterator[tuple[int, int, nn.Module]]:
    for expansion, base, count, stride in STAGES:
        width = scaled_channels(base, spec.width)
        blocks = []
        for index in range(count):
            blocks.append(
                InvertedResidual(
                    channels,
                    width,
                    stride=stride if index == 0 else 1,
                    expansion=expansion,
                    expand=expansion > 1 or spec.expand_first,
                )
            )
            channels = width
        yield base, channels, nn.Sequential(*blocks)


class InvertedResidual(nn.Module):
    """1x1 to more channels, depthwise, linear 1x1 to fewer; a shortcut where shapes agree."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        expansion: int,
        expand: bool,
        kernel: int = 3,
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        layers: list[nn.Module] = []
        if expand:
            layers.append(conv_norm_act(in_channels, hidden, kernel=1, activation=nn.ReLU6))
        layers.append(
            conv_norm_act(
                hidden, hidden, kernel=kernel, stride=stride, groups=hidden, activation=nn.ReLU6
            )
        )
        layers.append(conv_norm_act(hidden, out_channels, kernel=1, activation=None))
        self.layers = nn.Sequential(*layers)
        self.shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


def scaled_channels(channels: int, width: float) -> int:
    """`channels` times `width`, to the nearest multiple of 8, never more than 10 % below."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded
