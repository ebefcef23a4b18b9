"""Shapes and details of the published backbones, beyond what whole templates show."""

from __future__ import annotations

import pytest
import torch
import yaml
from torch import nn
from torch.nn import functional

from pocketface.model_templates import template_path
from pocketface.model_templates.architecture import FPNSpec
from pocketface.model_templates.backbones import (
    EfficientNetLiteSpec,
    MobileNetV2Spec,
    ResNetSpec,
    ShuffleNetV2Spec,
)
from pocketface.model_templates.heads import AnchorLevelSpec, SSDHeadSpec
from pocketface.models.efficientnet_lite import EfficientNetLite
from pocketface.models.fpn import FPN
from pocketface.models.layers import conv_norm_act
from pocketface.models.mobilenet_v2 import InvertedResidual, MobileNetV2, scaled_channels
from pocketface.models.network import make_network
from pocketface.models.resnet import ResNet
from pocketface.models.shufflenet_v2 import ShuffleNetV2, shuffle
from pocketface.models.ssd_head import SSDHead, level_anchors
from pocketface.tasks.templates import parse_template


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


def test_efficientnet_lite_has_the_published_size() -> None:
    network = EfficientNetLite(EfficientNetLiteSpec(type="efficientnet_lite", finest=2))
    # 4,652,008 of the whole network, less 1x1 to 1280 with its norm and the classifier.
    assert parameters(network) == 4_652_008 - (320 * 1280 + 2 * 1280) - (1280 * 1000 + 1000)
    maps = network(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (16, 32, 48),
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
        (320, 2, 3),
    ]
    assert network.out_channels == [16, 24, 40, 112, 320]


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


def test_a_separable_network_has_dense_3x3_convolutions_where_it_strides_alone() -> None:
    text = template_path("face-detection-n").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    counts = {}
    for separable in (False, True):
        for part in ("backbone", "neck", "head"):
            content["architecture"][part]["separable"] = separable
        template = parse_template(yaml.safe_dump(content), source="test")
        network = make_network(template.architecture)
        convs = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
        wide = [conv for conv in convs if conv.kernel_size == (3, 3)]
        counts[separable] = (
            len([conv for conv in wide if conv.groups == 1 and conv.stride == (1, 1)]),
            len([conv for conv in wide if conv.groups == conv.in_channels == conv.out_channels]),
        )
    # Two in each of seven blocks, one in each of three smoothings and towers, nine predictions.
    assert counts == {False: (14 + 3 + 3 + 9, 0), True: (0, 14 + 3 + 3)}


def test_a_separable_convolution_mixes_channels_first() -> None:
    layer = conv_norm_act(3, 8, stride=2, separable=True, norm="none", activation=None)
    x = torch.rand(1, 3, 8, 8)
    mixed = functional.conv2d(x, layer[0].weight)
    expected = functional.conv2d(
        mixed, layer[1].weight, layer[1].bias, stride=2, padding=1, groups=8
    )
    torch.testing.assert_close(layer(x), expected)


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


def test_further_levels_of_a_pyramid_see_what_is_positive_alone() -> None:
    """As RetinaNet's: otherwise two linear convolutions would follow each other."""
    torch.manual_seed(0)
    fpn = FPN(FPNSpec(type="fpn", channels=8, levels=5, batch_norm=False), [4, 6, 10])
    maps = [torch.randn(1, c, 32 // k, 32 // k) for c, k in zip([4, 6, 10], [1, 2, 4], strict=True)]
    with torch.no_grad():
        third, fourth, fifth = fpn(maps)[2:]
        for source, found, layer in zip((third, fourth), (fourth, fifth), fpn.extra, strict=True):
            assert source.min() < 0
            torch.testing.assert_close(found, layer(source.relu()))
    # Where nothing is positive, the bias is all that is left.
    with torch.no_grad():
        for smooth in fpn.smooth:
            nn.init.zeros_(smooth[0].weight)
            nn.init.constant_(smooth[0].bias, -1.0)
        _, _, _, fourth, _ = fpn(maps)
    torch.testing.assert_close(
        fourth, fpn.extra[0][0].bias.detach()[:, None, None].expand(1, 8, 4, 4)
    )


def test_context_adds_three_1x1_convolutions_to_each_level() -> None:
    plain = FPNSpec(type="fpn", channels=8, levels=3)
    more = FPN(plain.model_copy(update={"context": True}), [4, 6])
    each = (8 * 4 + 4) + (4 * 2 + 2) + (2 * 2 + 2)
    assert parameters(more) - parameters(FPN(plain, [4, 6])) == 3 * each


def test_inverted_residual_adds_its_input_only_where_shapes_agree() -> None:
    x = torch.rand(1, 8, 4, 4)
    for stride, channels, expected in (
        (1, 8, x),
        (2, 8, 0 * x[..., ::2, ::2]),
        (1, 6, 0 * x[:, :6]),
    ):
        block = InvertedResidual(8, channels, stride=stride, expansion=2, expand=True).eval()
        nn.init.zeros_(block.layers[-1][0].weight)  # the branch adds nothing
        assert torch.equal(block(x), expected)


def test_ssd_predictions_stand_in_the_order_of_their_anchors() -> None:
    level = AnchorLevelSpec(stride=16, widths=[8.0, 20.0], heights=[12.0, 30.0])
    head = SSDHead(SSDHeadSpec(type="ssd", anchors=[level]), [3])

    class Known(nn.Module):
        """Says at each place which channel, row and column it is."""

        def __init__(self, channels: int) -> None:
            super().__init__()
            self.channels = channels

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            channel = torch.arange(self.channels).view(1, -1, 1, 1)
            row, column = torch.arange(2).view(1, 1, -1, 1), torch.arange(3).view(1, 1, 1, -1)
            return (100.0 * channel + 10 * row + column).expand(len(x), -1, -1, -1)

    head.boxes[0], head.classes[0] = Known(8), Known(4)
    predictions = head([torch.zeros(2, 3, 2, 3)])
    for row, column, anchor in ((0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 2, 1)):
        index = (row * 3 + column) * 2 + anchor
        place = 10.0 * row + column
        x, y, width, _ = predictions.anchors[index].tolist()
        assert (x, y, width) == (16 * column + 8, 16 * row + 8, level.widths[anchor])
        assert predictions.deltas[1, index].tolist() == [
            100 * (4 * anchor + k) + place for k in range(4)
        ]
        assert predictions.class_logits[1, index].tolist() == [
            100 * (2 * anchor + k) + place for k in range(2)
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
