"""ResNet (He et al. 2015, https://arxiv.org/abs/1512.03385) of bottleneck blocks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor, nn

from ..model_templates.backbones import ResNetSpec
from .layers import Stages, conv_norm_act, init_backbone

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STEM_CHANNELS = 64
EXPANSION = 4


class ResNet(Stages):
    """Stem and max pooling, then four stages; the last one of each stride is tapped."""

    def __init__(self, spec: ResNetSpec) -> None:
        convolution = conv_norm_act(3, STEM_CHANNELS, kernel=7, stride=2, norm=spec.norm)
        pooling = nn.MaxPool2d(3, stride=2, padding=1)
        stages = list(_stages(spec))
        if spec.finest == 2:
            key, channels, blocks = stages[0]
            # Blocks have the same names with and without it.
            named = OrderedDict([("pooling", pooling), *blocks.named_children()])
            stages[0] = (key, channels, nn.Sequential(named))
            stem: nn.Module = convolution
        else:
            stem = nn.Sequential(convolution, pooling)
        strides = [_stride(index, spec) for index in range(len(stages))]
        last_of_each = {stride: i for i, stride in enumerate(strides) if stride >= spec.finest}
        super().__init__(
            stem,
            stages,
            last_of_each.values(),
            stem_channels=STEM_CHANNELS if spec.finest == 2 else None,
        )
        init_backbone(self)
        for module in self.modules():
            if isinstance(module, Bottleneck):
                # The branch is weak at first, or the signal would double at each of up to 50
                # blocks (Goyal et al. 2017, section 5.1, begin at zero).
                nn.init.constant_(module.branch[-1][1].weight, 0.2)  # type: ignore[index]
        self._frozen = tuple([self.stem, *self.stages][: spec.frozen_stages])
        for part in self._frozen:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Training mode, but for the statistics of stages that do not learn."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self


def _stride(index: int, spec: ResNetSpec) -> int:
    """The stride of a stage's map."""
    stride: int = 4 << index
    return min(stride, spec.output_stride)


def _stages(spec: ResNetSpec) -> Iterator[tuple[int, int, nn.Module]]:
    before, stride, dilation = STEM_CHANNELS, 4, 1
    for index, count in enumerate(BLOCKS[spec.depth]):
        width = STEM_CHANNELS * 2**index
        channels = width * EXPANSION
        step = _stride(index, spec) // stride
        # The first block of a dilated stage has the dilation of the map that it takes.
        first = Bottleneck(before, width, spec, stride=step, dilation=dilation)
        dilation = (4 << index) // _stride(index, spec)
        others = (Bottleneck(channels, width, spec, dilation=dilation) for _ in range(count - 1))
        yield index, channels, nn.Sequential(first, *others)
        before, stride = channels, stride * step


class Bottleneck(nn.Module):
    """1x1 to `width`, 3x3, 1x1 to four times `width`, and a shortcut."""

    def __init__(
        self,
        in_channels: int,
        width: int,
        spec: ResNetSpec,
        *,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        norm = spec.norm
        first, second = (stride, 1) if spec.stride_in == "1x1" else (1, stride)
        self.branch = nn.Sequential(
            conv_norm_act(in_channels, width, kernel=1, stride=first, norm=norm),
            conv_norm_act(width, width, stride=second, dilation=dilation, norm=norm),
            conv_norm_act(width, out_channels, kernel=1, norm=norm, activation=None),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = conv_norm_act(
                in_channels, out_channels, kernel=1, stride=stride, norm=norm, activation=None
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, 4 * width, H / stride, W / stride)."""
        return torch.relu(self.shortcut(x) + self.branch(x))
