"""The published networks by the public code of 2021, to write checkpoints as others do.

Modules have the names of MMDetection (its fork for OpenVINO Training Extensions, branch ote) and of
pytorchcv, whose backbones it takes. `answers` decodes as their heads do in evaluation.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

MOBILENET = ((16,), (24,) * 2, (32,) * 3, (64,) * 4 + (96,) * 3, (160,) * 3 + (320,))
SHUFFLENET = ((116,) * 4, (232,) * 8, (464,) * 4)
BOTTLENECKS = {50: (3, 4, 6, 3), 152: (3, 8, 36, 3)}


class ConvBlock(nn.Module):
    """pytorchcv's ConvBlock."""

    def __init__(
        self,
        a: int,
        b: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        act: Any = nn.ReLU,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(a, b, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(b)
        self.activ = nn.Identity() if act is None else act()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activ(self.bn(self.conv(x)))
        return y


class LinearBottleneck(nn.Module):
    def __init__(self, a: int, b: int, stride: int, expand: bool) -> None:
        super().__init__()
        middle = a * 6 if expand else a
        self.residual = a == b and stride == 1
        self.conv1 = ConvBlock(a, middle, act=nn.ReLU6)
        self.conv2 = ConvBlock(middle, middle, 3, stride, middle, act=nn.ReLU6)
        self.conv3 = ConvBlock(middle, b, act=None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv3(self.conv2(self.conv1(x)))
        return x + y if self.residual else y


class ShuffleUnit(nn.Module):
    def __init__(self, a: int, b: int, down: bool) -> None:
        super().__init__()
        half = b // 2
        self.down = down
        self.compress_conv1 = nn.Conv2d(a if down else half, half, 1, bias=False)
        self.compress_bn1 = nn.BatchNorm2d(half)
        stride = 2 if down else 1
        self.dw_conv2 = nn.Conv2d(half, half, 3, stride, 1, groups=half, bias=False)
        self.dw_bn2 = nn.BatchNorm2d(half)
        self.expand_conv3 = nn.Conv2d(half, half, 1, bias=False)
        self.expand_bn3 = nn.BatchNorm2d(half)
        if down:
            self.dw_conv4 = nn.Conv2d(a, a, 3, 2, 1, groups=a, bias=False)
            self.dw_bn4 = nn.BatchNorm2d(a)
            self.expand_conv5 = nn.Conv2d(a, half, 1, bias=False)
            self.expand_bn5 = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        if self.down:
            first = self.expand_bn5(self.expand_conv5(self.dw_bn4(self.dw_conv4(x)))).relu()
        else:
            first, x = x.chunk(2, dim=1)
        y = self.compress_bn1(self.compress_conv1(x)).relu()
        y = self.expand_bn3(self.expand_conv3(self.dw_bn2(self.dw_conv2(y)))).relu()
        y = torch.cat((first, y), dim=1)
        batch, channels, height, width = (int(side) for side in y.shape)
        y = y.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return y.view(batch, channels, height, width)


class InitBlock(nn.Module):
    def __init__(self, channels: int, kernel: int, pool: nn.Module) -> None:
        super().__init__()
        self.conv = ConvBlock(3, channels, kernel, 2)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pool(self.conv(x))
        return y


class ResBottleneck(nn.Module):
    def __init__(self, a: int, b: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvBlock(a, b // 4)
        self.conv2 = ConvBlock(b // 4, b // 4, 3, stride)
        self.conv3 = ConvBlock(b // 4, b, act=None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv3(self.conv2(self.conv1(x)))
        return y


class ResUnit(nn.Module):
    def __init__(self, a: int, b: int, stride: int) -> None:
        super().__init__()
        self.body = ResBottleneck(a, b, stride)
        if a != b or stride != 1:
            self.identity_conv = ConvBlock(a, b, 1, stride, act=None)

    def forward(self, x: Tensor) -> Tensor:
        same = self.identity_conv(x) if hasattr(self, "identity_conv") else x
        y: Tensor = (self.body(x) + same).relu()
        return y


class Features(nn.Module):
    """A backbone of pytorchcv, as mmdet/models/backbones/imgclsmob.py makes one give maps."""

    def __init__(self, stages: list[tuple[str, nn.Module]], taps: tuple[int, ...]) -> None:
        super().__init__()
        self.features = nn.Sequential(OrderedDict(stages))
        self.taps = taps

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for index, stage in enumerate(self.features):
            x = stage(x)
            if index in self.taps:
                maps.append(x)
        return maps


def _stage(units: list[nn.Module]) -> nn.Module:
    return nn.Sequential(OrderedDict((f"unit{i + 1}", unit) for i, unit in enumerate(units)))


def mobilenet(taps: tuple[int, ...]) -> Features:
    stages: list[tuple[str, nn.Module]] = [("init_block", ConvBlock(3, 32, 3, 2, act=nn.ReLU6))]
    before = 32
    for i, widths in enumerate(MOBILENET):
        units: list[nn.Module] = []
        for j, width in enumerate(widths):
            stride = 2 if j == 0 and i != 0 else 1
            units.append(LinearBottleneck(before, width, stride, i != 0 or j != 0))
            before = width
        stages.append((f"stage{i + 1}", _stage(units)))
    return Features(stages, taps)


def shufflenet(taps: tuple[int, ...]) -> Features:
    pool = nn.MaxPool2d(3, 2, padding=0, ceil_mode=True)
    stages: list[tuple[str, nn.Module]] = [("init_block", InitBlock(24, 3, pool))]
    before = 24
    for i, widths in enumerate(SHUFFLENET):
        units: list[nn.Module] = []
        for j, width in enumerate(widths):
            units.append(ShuffleUnit(before, width, down=j == 0))
            before = width
        stages.append((f"stage{i + 1}", _stage(units)))
    return Features(stages, taps)


def resnet(depth: int) -> Features:
    stages: list[tuple[str, nn.Module]] = [
        ("init_block", InitBlock(64, 7, nn.MaxPool2d(3, 2, padding=1)))
    ]
    before = 64
    for i, count in enumerate(BOTTLENECKS[depth]):
        width = 256 << i
        units: list[nn.Module] = []
        for j in range(count):
            units.append(ResUnit(before, width, 2 if j == 0 and i != 0 else 1))
            before = width
        stages.append((f"stage{i + 1}", _stage(units)))
    return Features(stages, (1, 2, 3, 4))


class ConvModule(nn.Module):
    """mmcv's ConvModule: a bias where there is no norm."""

    def __init__(
        self, a: int, b: int, kernel: int, stride: int = 1, *, group: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=not group)
        self.group = group
        if group:
            self.gn = nn.GroupNorm(32, b)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return self.gn(y).relu() if self.group else y


class RSSH(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvModule(channels, channels // 2, 1)
        self.conv2 = ConvModule(channels // 2, channels // 4, 1)
        self.conv3 = ConvModule(channels // 4, channels // 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(x)
        second = self.conv2(first)
        return torch.cat((first, second, self.conv3(second)), dim=1)


class FPN(nn.Module):
    """Its extra convolutions take its last map, the first of them without ReLU before it."""

    def __init__(self, channels: tuple[int, ...], out: int, levels: int, *, context: bool) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(ConvModule(one, out, 1) for one in channels)
        self.fpn_convs = nn.ModuleList(
            ConvModule(out, out, 3, 1 if i < len(channels) else 2) for i in range(levels)
        )
        if context:
            self.context_modules = nn.ModuleList(RSSH(out) for _ in range(levels))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        sums = [conv(x) for conv, x in zip(self.lateral_convs, maps, strict=True)]
        for i in range(len(sums) - 1, 0, -1):
            size = [int(side) for side in sums[i - 1].shape[2:]]
            sums[i - 1] = sums[i - 1] + functional.interpolate(sums[i], size=size, mode="nearest")
        outs = [conv(x) for conv, x in zip(self.fpn_convs, sums, strict=False)]
        for i in range(len(sums), len(self.fpn_convs)):
            outs.append(self.fpn_convs[i](outs[-1] if i == len(sums) else outs[-1].relu()))
        if hasattr(self, "context_modules"):
            outs = [one(x) for one, x in zip(self.context_modules, outs, strict=True)]
        return outs


def _centres(x: Tensor, stride: int, offset: float) -> Tensor:
    height, width = int(x.shape[2]), int(x.shape[3])
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack((xs, ys), dim=-1).reshape(-1, 2) * stride + offset * stride


def _rows(x: Tensor, size: int) -> Tensor:
    return x.permute(0, 2, 3, 1).reshape(int(x.shape[0]), -1, size)


def _decoded(deltas: Tensor, anchors: Tensor) -> Tensor:
    """DeltaXYWHBBoxCoder of standard deviations 0.1, 0.1, 0.2, 0.2; anchors: cx, cy, w, h."""
    deltas = deltas * torch.tensor([0.1, 0.1, 0.2, 0.2])
    most = abs(torch.tensor(16 / 1000).log().item())
    centres = anchors[:, :2] + deltas[..., :2] * anchors[:, 2:]
    sizes = deltas[..., 2:].clamp(-most, most).exp() * anchors[:, 2:]
    return torch.cat((centres - sizes / 2, centres + sizes / 2), dim=-1)


class SSDHead(nn.Module):
    """Of one class; anchors by stride: widths and heights."""

    def __init__(self, channels: tuple[int, ...], anchors: list[Any]) -> None:
        super().__init__()
        self.anchors = anchors

        def branch(a: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(a, a, 3, padding=1, groups=a),
                nn.BatchNorm2d(a),
                nn.ReLU(),
                nn.Conv2d(a, outputs, 1),
            )

        counts = [len(level["widths"]) for level in anchors]
        pairs = list(zip(channels, counts, strict=True))
        self.reg_convs = nn.ModuleList(branch(a, 4 * count) for a, count in pairs)
        self.cls_convs = nn.ModuleList(branch(a, 2 * count) for a, count in pairs)
        self.loss_weights = nn.Parameter(torch.zeros(2))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        boxes, scores = [], []
        for i, x in enumerate(maps):
            level = self.anchors[i]
            sizes = torch.tensor([*zip(level["widths"], level["heights"], strict=True)])
            centres = _centres(x, level["stride"], 0.5)[:, None].expand(-1, len(sizes), -1)
            anchors = torch.cat((centres, sizes.expand(len(centres), -1, -1)), dim=-1).reshape(
                -1, 4
            )
            boxes.append(_decoded(_rows(self.reg_convs[i](x), 4), anchors))
            scores.append(_rows(self.cls_convs[i](x), 2).softmax(-1)[..., 0])
        return torch.cat(boxes, dim=1), torch.cat(scores, dim=1)


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class DenseHead(nn.Module):
    """What FCOSHead and ATSSHead have in common."""

    def __init__(self, a: int, width: int, strides: tuple[int, ...]) -> None:
        super().__init__()
        widths = [a] + [width] * 4
        self.cls_convs = nn.ModuleList(ConvModule(x, y, 3, group=True) for x, y in pairwise(widths))
        self.reg_convs = nn.ModuleList(ConvModule(x, y, 3, group=True) for x, y in pairwise(widths))
        self.scales = nn.ModuleList(Scale() for _ in strides)
        self.strides = strides

    def towers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        classes = boxes = x
        for one, other in zip(self.cls_convs, self.reg_convs, strict=True):
            classes, boxes = one(classes), other(boxes)
        return classes, boxes


class FCOSHead(DenseHead):
    """Centre-ness from the tower of classes, distances as exponentials, in pixels."""

    def __init__(self, a: int, width: int, strides: tuple[int, ...]) -> None:
        super().__init__(a, width, strides)
        self.conv_cls, self.conv_reg, self.conv_centerness = (
            nn.Conv2d(width, size, 3, padding=1) for size in (1, 4, 1)
        )

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        boxes, scores = [], []
        for x, scale, stride in zip(maps, self.scales, self.strides, strict=True):
            classes, regression = self.towers(x)
            sides = _rows(scale(self.conv_reg(regression)).exp(), 4)
            centres = _centres(x, stride, 0.5)
            boxes.append(torch.cat((centres - sides[..., :2], centres + sides[..., 2:]), dim=-1))
            score = self.conv_cls(classes).sigmoid() * self.conv_centerness(classes).sigmoid()
            scores.append(_rows(score, 1)[..., 0])
        return torch.cat(boxes, dim=1), torch.cat(scores, dim=1)


class ATSSHead(DenseHead):
    """Deltas of square anchors of eight strides at the corners of the cells."""

    def __init__(self, a: int, width: int, strides: tuple[int, ...]) -> None:
        super().__init__(a, width, strides)
        self.atss_cls, self.atss_reg, self.atss_centerness = (
            nn.Conv2d(width, size, 3, padding=1) for size in (1, 4, 1)
        )

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        boxes, scores = [], []
        for x, scale, stride in zip(maps, self.scales, self.strides, strict=True):
            classes, regression = self.towers(x)
            centres = _centres(x, stride, 0.0)
            anchors = torch.cat((centres, torch.full_like(centres, 8.0 * stride)), dim=-1)
            boxes.append(_decoded(_rows(scale(self.atss_reg(regression)), 4), anchors))
            score = self.atss_cls(classes).sigmoid() * self.atss_centerness(regression).sigmoid()
            scores.append(_rows(score, 1)[..., 0])
        return torch.cat(boxes, dim=1), torch.cat(scores, dim=1)


class Detector(nn.Module):
    """Takes normalised RGB images; gives boxes (B, N, 4) and scores (B, N)."""

    def __init__(self, backbone: Features, neck: FPN | None, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.bbox_head = backbone, head
        self.neck = neck

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.backbone(x)
        boxes, scores = self.bbox_head(maps if self.neck is None else self.neck(maps))
        return boxes, scores


def detector(name: str, anchors: list[Any], *, depth: int = 152) -> Detector:
    """The published network of this name, with random weights that find something."""
    if name == "face-detection-0207":
        made = Detector(shufflenet((2, 3)), None, SSDHead((232, 464), anchors))
    elif name == "face-detection-0205":
        neck = FPN((32, 96, 320), 48, 5, context=False)
        made = Detector(mobilenet((3, 4, 5)), neck, FCOSHead(48, 32, (8, 16, 32, 64, 128)))
    elif name == "face-detection-0206":
        neck = FPN((256, 512, 1024, 2048), 256, 5, context=True)
        made = Detector(resnet(depth), neck, ATSSHead(256, 128, (4, 8, 16, 32, 64)))
    else:
        made = Detector(mobilenet((4, 5)), None, SSDHead((96, 320), anchors))
    randomize(made)
    settle(made)
    return made.eval()


def randomize(network: nn.Module) -> None:
    """Let every tensor matter: shifts and scales are not those of a new network."""
    for module in reversed(list(network.modules())):  # a head after its layers
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.2)
        if isinstance(module, ResBottleneck):
            nn.init.constant_(module.conv3.bn.weight, 0.2)
        if isinstance(module, Scale):
            nn.init.uniform_(module.scale, 0.5, 1.0)
        if isinstance(module, SSDHead):
            # Boxes of some pixels, and scores between 0 and 1.
            for branch in (*module.reg_convs, *module.cls_convs):
                last = branch[-1]  # type: ignore[index]
                nn.init.normal_(last.weight, 0, 0.05)


def settle(network: nn.Module) -> None:
    """Let norms have the statistics of some noise, so that values neither grow nor fade."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(2, 3, 256, 256))
    for norm in norms:
        norm.running_mean.add_(torch.randn_like(norm.running_mean) * 0.1)
