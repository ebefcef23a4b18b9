"""EfficientNet-Lite0, feature maps only.

Tan & Le 2019 (https://arxiv.org/abs/1905.11946); the Lite variants: Liu, "Higher accuracy on vision
models with EfficientNet-Lite", 2020.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from ..model_templates.backbones import EfficientNetLiteSpec
from .layers import Stages, conv_norm_act, init_backbone
from .mobilenet_v2 import InvertedResidual

STAGES = (
    # expansion, channels, blocks, stride of the first block, kernel, stride of the map
    (1, 16, 1, 1, 3, 2),
    (6, 24, 2, 2, 3, 4),
    (6, 40, 2, 2, 5, 8),
    (6, 80, 3, 2, 3, 16),
    (6, 112, 3, 1, 5, 16),
    (6, 192, 4, 2, 5, 32),
    (6, 320, 1, 1, 3, 32),
)
STEM_CHANNELS = 32


class EfficientNetLite(Stages):
    """Inverted residuals; the last stage of each stride is tapped."""

    def __init__(self, spec: EfficientNetLiteSpec) -> None:
        stem = conv_norm_act(3, STEM_CHANNELS, stride=2, activation=nn.ReLU6)
        last = {stride: index for index, (*_, stride) in enumerate(STAGES)}
        super().__init__(stem, _stages(), [last[stride] for stride in spec.strides])
        init_backbone(self)


def _stages() -> Iterator[tuple[int, int, nn.Module]]:
    before = STEM_CHANNELS
    for key, (expansion, channels, count, stride, kernel, _) in enumerate(STAGES):
        blocks = []
        for index in range(count):
            blocks.append(
                InvertedResidual(
                    before,
                    channels,
                    stride=stride if index == 0 else 1,
                    expansion=expansion,
                    expand=expansion > 1,
                    kernel=kernel,
                )
            )
            before = channels
        yield key, channels, nn.Sequential(*blocks)
