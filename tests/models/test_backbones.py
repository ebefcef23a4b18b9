"""Shapes and details of the published backbones, beyond what whole templates show."""

from __future__ import annotations

import pytest
import torch
from pocketface.model_templates.schema import (
    AnchorLevelSpec,
    FPNSpec,
    MobileNetV2Spec,
    ResNetSpec,
    ShuffleNetV2Spec,
)
from pocketface.models.fpn import FPN
from pocketface.models.mobilenet_v2 import MobileNetV2, scaled_channels
from pocketface.models.resnet import ResNet
from pocketface.models.shufflenet_v2 import ShuffleNetV2, shuffle
from pocketface.models.ssd_head import level_anchors
from torch import nn


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_mobilenet_v2_has_the_papers_size() -> None:
    network = MobileNetV2(MobileNetV2Spec(type="mobilenet_v2", outputs=[24, 32, 96, 320]))
    # 3,504,872 of the whole network, less 1x1 to 1280 with its norm and the classifier.
    assert parameters(network) == 3_504_872 - (320 * 1280 + 2 * 1280) - (1280 * 1000 + 1000)
    maps = network(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (24, 16, 24),
        (32, 8, 12),
        (96, 4, 6),
        (320, 2, 3),
    ]
    assert network.out_channels == [24, 32, 96, 320]


def test_mobilenet_v2_stops_at_the_last_tapped_stage_and_scales() -> None:
    short = MobileNetV2(MobileNetV2Spec(type="mobilenet_v2", width=0.5, outputs=[32, 96]))
    assert len(short.stages) == 5
    assert short.out_channels == [16, 48]
    assert [scaled_channels(32, w) for w in (1.0, 0.5, 0.35, 1.4)] == [32, 16, 16, 48]


def test_expand_first_adds_one_convolution() -> None:
    spec = MobileNetV2Spec(type="mobilenet_v2", outputs=[320])
    more = MobileNetV2(spec.model_copy(update={"expand_first": True}))
    assert parameters(more) - parameters(MobileNetV2(spec)) == 32 * 32 + 2 * 32


def test_shufflenet_v2_has_the_papers_size() -> None:
    network = ShuffleNetV2(ShuffleNetV2Spec(type="shufflenet_v2", outputs=[116, 232, 464]))
    # 2,278,604 of the whole network, less 1x1 to 1024 with its norm and the classifier.
    assert parameters(network) == 2_278_604 - (464 * 1024 + 2 * 1024) - (1024 * 1000 + 1000)
    maps = network(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [(116, 8, 12), (232, 4, 6), (464, 2, 3)]


def test_shuffle_interleaves_the_halves() -> None:
    x = torch.arange(6.0).view(1, 6, 1, 1).expand(2, 6, 3, 2)
    assert shuffle(x)[1, :, 2, 1].tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize(
    ("depth", "whole"), [(50, 25_557_032), (101, 44_549_160), (152, 60_192_808)]
)
def test_resnet_has_the_papers_size(depth: int, whole: int) -> None:
    with torch.device("meta"):
        network = ResNet(ResNetSpec.model_validate({"type": "resnet", "depth": depth}))
        maps = network(torch.zeros(1, 3, 64, 96))
    assert parameters(network) == whole - (2048 * 1000 + 1000)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (256, 16, 24),
        (512, 8, 12),
        (1024, 4, 6),
        (2048, 2, 3),
    ]


def test_a_fresh_resnet_keeps_the_size_of_the_signal() -> None:
    torch.manual_seed(0)
    network = ResNet(ResNetSpec(type="resnet", depth=50)).eval()
    with torch.no_grad():
        maps = network(torch.randn(1, 3, 64, 64))
    assert all(0.05 < m.std() < 20 for m in maps)


def test_fpn_meets_odd_maps_and_adds_levels() -> None:
    fpn = FPN(FPNSpec(type="fpn", channels=8, levels=5, context=True), [4, 6, 10])
    sizes = [(13, 52), (7, 26), (4, 13)]
    maps = [torch.rand(1, c, h, w) for c, (h, w) in zip([4, 6, 10], sizes, strict=True)]
    outputs = fpn(maps)
    assert [tuple(m.shape[1:]) for m in outputs] == [
        (8, 13, 52),
        (8, 7, 26),
        (8, 4, 13),
        (8, 2, 7),
        (8, 1, 4),
    ]


def test_anchors_are_centred_on_their_cells() -> None:
    level = AnchorLevelSpec(stride=16, widths=[8.0, 20.0], heights=[12.0, 30.0])
    anchors = level_anchors(level, 2, 3, device=torch.device("cpu"))
    assert anchors.tolist()[:4] == [
        [8.0, 8.0, 8.0, 12.0],
        [8.0, 8.0, 20.0, 30.0],
        [24.0, 8.0, 8.0, 12.0],
        [24.0, 8.0, 20.0, 30.0],
    ]
    assert anchors[-1].tolist() == [40.0, 24.0, 20.0, 30.0]
    assert anchors.shape == (12, 4)
