"""Backbones with fine or dilated maps, and the heads of masks over them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pocketface.errors import TemplateError
from pocketface.model_templates.architecture import ArchitectureSpec
from pocketface.model_templates.backbones import PlainSpec, ResNetSpec
from pocketface.model_templates.heads import ASPPHeadSpec, UNetHeadSpec
from pocketface.model_templates.schema import validate
from pocketface.models.mask_heads import ASPPHead, UNetHead
from pocketface.models.network import make_network
from pocketface.models.plain import Plain
from pocketface.models.resnet import ResNet

IMAGES = torch.linspace(-2, 2, 2 * 3 * 64 * 96).sin().reshape(2, 3, 64, 96)


def resnet(**options: Any) -> ResNet:
    torch.manual_seed(0)
    return ResNet(ResNetSpec.model_validate({"type": "resnet", "depth": 50, **options})).eval()


def sizes(maps: list[Tensor]) -> list[tuple[int, ...]]:
    return [tuple(one.shape[1:]) for one in maps]


@torch.no_grad()
def test_the_stems_map_of_a_resnet() -> None:
    """The other maps stay as they are."""
    coarse, fine = resnet(), resnet(finest=2)
    fine.load_state_dict(dict(zip(fine.state_dict(), coarse.state_dict().values(), strict=True)))
    maps = fine(IMAGES)
    assert fine.out_channels == [64, 256, 512, 1024, 2048]
    assert sizes(maps)[:2] == [(64, 32, 48), (256, 16, 24)]
    for one, other in zip(maps[1:], coarse(IMAGES), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("stride", "steps"), [(16, 2), (8, 4)])
@torch.no_grad()
def test_a_dilated_resnet_has_the_strided_ones_map_with_others_between(
    stride: int, steps: int
) -> None:
    strided, dilated = resnet(), resnet(output_stride=stride)
    dilated.load_state_dict(strided.state_dict())
    maps = dilated(IMAGES)
    assert [64 // one.shape[2] for one in maps] == [4, 8, 16][: len(maps)]
    assert 64 // maps[-1].shape[2] == stride
    assert dilated.out_channels == [one.shape[1] for one in maps]
    torch.testing.assert_close(
        maps[-1][..., ::steps, ::steps], strided(IMAGES)[-1], rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("finest", [2, 4, 8])
def test_the_finest_map_of_our_backbone(finest: int) -> None:
    stages = [{"channels": channels, "blocks": 1} for channels in (12, 16, 20)]
    spec = PlainSpec.model_validate(
        {"type": "plain", "finest": finest, "stem_channels": 8, "stages": stages}
    )
    backbone = Plain(spec)
    maps = backbone(IMAGES)
    expected = [(8, 32, 48), (12, 16, 24), (16, 8, 12), (20, 4, 6)]
    assert sizes(maps) == expected[{2: 0, 4: 1, 8: 2}[finest] :]
    assert [64 // one.shape[2] for one in maps] == spec.strides
    assert backbone.out_channels == [one.shape[1] for one in maps]


def unet(skips: str, *, classes: int = 1) -> UNetHead:
    torch.manual_seed(0)
    spec = UNetHeadSpec.model_validate(
        {"type": "unet", "classes": classes, "stride": 4, "channels": [10, 6], "skips": skips}
    )
    return UNetHead(spec, [8, 12, 16]).eval()


MAPS = [torch.randn(2, c, s, 2 * s) for c, s in ((8, 16), (12, 8), (16, 4))]


@pytest.mark.parametrize("skips", ["add", "concat"])
def test_a_unet_gives_logits_at_the_inputs_size(skips: str) -> None:
    found = unet(skips, classes=3)(MAPS)
    assert found.shape == (2, 3, 64, 128)
    for index in range(3):
        others = [one + (place == index) for place, one in enumerate(MAPS)]
        assert not torch.allclose(unet(skips, classes=3)(others), found)


def test_logits_are_enlarged_between_the_centres_of_pixels() -> None:
    """The middle of four pixels is their mean, and edges are repeated."""
    head = unet("add")
    inner: list[Tensor] = []
    head.logits.register_forward_hook(lambda _, __, out: inner.append(out))
    found = head(MAPS)
    (small,) = inner
    wanted = functional.avg_pool2d(small, 2, 1)
    middle = functional.avg_pool2d(found[..., 2:-2, 2:-2], 4)[..., :1, :1]
    torch.testing.assert_close(middle, wanted[..., :1, :1])
    torch.testing.assert_close(found[..., :2, :2], small[..., :1, :1].expand(-1, -1, 2, 2))


@torch.no_grad()
def test_an_aspp_joins_its_branches_as_the_paper_does() -> None:
    """There the map's average becomes a map that is joined to the others' channels."""
    torch.manual_seed(0)
    spec = ASPPHeadSpec(type="aspp", classes=2, stride=4, channels=6, rates=[1, 3])
    head = ASPPHead(spec, [8, 12]).eval()
    maps = [torch.randn(2, 8, 16, 16), torch.randn(2, 12, 8, 8)]
    x = maps[-1]
    average = head.average(x.mean((2, 3), keepdim=True)).expand(-1, -1, 8, 8)
    together = torch.cat([*(branch(x) for branch in head.branches), average], 1)
    weight = torch.cat([head.joined.weight, head.joined_average.weight], 1)
    joined = head.norm(functional.conv2d(together, weight))
    wanted = functional.interpolate(
        head.logits(head.last(joined)), size=(32, 32), mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(head(maps), wanted)
    dilations = [
        branch[0].dilation for branch in head.branches if isinstance(branch, nn.Sequential)
    ]
    assert dilations == [(1, 1), (1, 1), (3, 3)]


ARCHITECTURE: dict[str, Any] = {
    "mean": [0.0, 0.0, 0.0],
    "std": [255.0, 255.0, 255.0],
    "colour": "BGR",
    "backbone": {
        "type": "plain",
        "finest": 4,
        "stem_channels": 8,
        "stages": [{"channels": 8, "blocks": 0}, {"channels": 16, "blocks": 0}],
    },
    "head": {"type": "unet", "classes": 1, "stride": 4, "channels": [8], "skips": "add"},
}
ASPP = {"type": "aspp", "classes": 1, "stride": 8, "channels": 8, "rates": [1, 2]}


@pytest.mark.parametrize("classes", [1, 2, 4])
@pytest.mark.parametrize("head", [ARCHITECTURE["head"], ASPP], ids=["unet", "aspp"])
def test_masks_are_probabilities(head: dict[str, Any], classes: int) -> None:
    made = {**ARCHITECTURE, "head": {**head, "classes": classes}}
    network = make_network(validate(ArchitectureSpec, made, source="test")).eval()
    with torch.no_grad():
        (found,) = network(torch.rand(2, 3, 32, 64) * 255)
    assert found.shape == (2, classes, 32, 64)
    assert ((found > 0) & (found < 1)).all()
    if classes > 1:
        torch.testing.assert_close(found.sum(1), torch.ones(2, 32, 64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": {**ARCHITECTURE["head"], "stride": 2}}, "head.stride is 2: expected 4.* finest"),
        ({"head": {**ASPP, "stride": 4}}, "head.stride is 4: expected 8.* coarsest"),
        ({"head": {**ARCHITECTURE["head"], "channels": [8, 8]}}, "has 2 stages.* expected 1"),
        ({"neck": {"type": "fpn", "channels": 8, "levels": 2}}, "'unet' takes no neck"),
    ],
)
def test_parts_that_do_not_meet(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        validate(ArchitectureSpec, {**ARCHITECTURE, **change}, source="test")
