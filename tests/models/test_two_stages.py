"""Parts of detectors that correct anchors, each worked out by hand or one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketface.model_templates.anchor_heads import (
    AnchorsSpec,
    RoIHeadSpec,
    RPNSpec,
    TwoStageHeadSpec,
)
from pocketface.model_templates.architecture import FPNSpec
from pocketface.model_templates.backbones import ResNetSpec
from pocketface.model_templates.dense_heads import ProbabilisticTwoStageHeadSpec
from pocketface.models.anchors import clipped, image_sides, level_anchors
from pocketface.models.fpn import FPN
from pocketface.models.layers import FrozenBatchNorm
from pocketface.models.nms import best_boxes
from pocketface.models.probabilistic_head import ProbabilisticTwoStageHead
from pocketface.models.resnet import ResNet
from pocketface.models.roi_align import assigned_levels, roi_align
from pocketface.models.rpn import RPN
from pocketface.models.two_stage_head import TwoStageHead

STRIDES = [4, 8]
ANCHORS = AnchorsSpec(strides=STRIDES, sizes=[[16.0], [32.0]], aspect_ratios=[0.5, 2.0])


def test_anchors_are_detectron2s() -> None:
    found = level_anchors(ANCHORS, 1, torch.zeros(1, 1, 2, 3))
    wide, high = 32 * math.sqrt(2), 32 / math.sqrt(2)
    assert found.shape == (12, 4)
    # Of the first cell, then of that to its right.
    assert found[0].tolist() == pytest.approx([0, 0, wide, high])
    assert found[1].tolist() == pytest.approx([0, 0, high, wide])
    assert found[2].tolist() == pytest.approx([8, 0, wide, high])
    assert found[-1].tolist() == pytest.approx([16, 8, high, wide])


def test_anchors_may_lie_in_the_middle_and_be_rounded() -> None:
    spec = ANCHORS.model_copy(update={"offset": 0.5, "rounded": True})
    found = level_anchors(spec, 0, torch.zeros(1, 1, 1, 1))
    # 16 * sqrt(2) / 2 is 11.3, 16 / sqrt(2) / 2 is 5.7.
    assert found.tolist() == [[2, 2, 22, 12], [2, 2, 12, 22]]


def test_boxes_are_clipped_to_the_image() -> None:
    sides = image_sides(STRIDES[0], torch.zeros(1, 1, 4, 6))
    assert sides.tolist() == [24, 16]
    assert clipped(torch.tensor([[-1.0, 3, 30, 20]]), sides).tolist() == [[0, 3, 24, 16]]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"sizes": [[8.0]]}, "1 lists of sizes but 2 strides"),
        ({"sizes": [[8.0], [8.0, 9.0]]}, "expected as many sizes on each"),
    ],
)
def test_levels_of_anchors_fit(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AnchorsSpec.model_validate(ANCHORS.model_dump() | keys)


def greedy(boxes: Tensor, iou: float) -> list[bool]:
    """NMS one box after the other."""
    kept: list[int] = []
    for index, box in enumerate(boxes):
        for other in boxes[kept]:
            shared = (torch.minimum(box[2:], other[2:]) - torch.maximum(box[:2], other[:2])).clamp(
                0
            )
            areas = [(one[2:] - one[:2]).prod() for one in (box, other)]
            if shared.prod() / (areas[0] + areas[1] - shared.prod()) > iou:
                break
        else:
            kept.append(index)
    return [index in kept for index in range(len(boxes))]


def test_nms_is_that_of_one_box_after_the_other() -> None:
    rng = torch.Generator().manual_seed(0)
    start = torch.rand(3, 60, 2, generator=rng) * 40
    boxes = torch.cat((start, start + 10 + 20 * torch.rand(3, 60, 2, generator=rng)), 2)
    scores = torch.linspace(1, 0, 60).expand(3, -1)
    found = best_boxes(boxes, scores, iou=0.3)
    assert found.tolist() == [greedy(one, 0.3) for one in boxes]
    assert 5 < found.sum() < 120


def bilinear(x: Tensor, row: float, column: float) -> float:
    height, width = x.shape
    if not (-1 <= row <= height and -1 <= column <= width):
        return 0.0
    row, column = min(max(row, 0.0), height - 1.0), min(max(column, 0.0), width - 1.0)
    top, left = int(row), int(column)
    down, right = min(top + 1, height - 1), min(left + 1, width - 1)
    y, x_share = row - top, column - left
    above = float(x[top, left]) * (1 - x_share) + float(x[top, right]) * x_share
    below = float(x[down, left]) * (1 - x_share) + float(x[down, right]) * x_share
    return above * (1 - y) + below * y


def crop_by_hand(x: Tensor, box: list[float], stride: int, spec: RoIHeadSpec) -> Tensor:
    """RoIAlign of one channel (H, W), point by point."""
    offset = 0.5 if spec.aligned else 0.0
    left, top, right, bottom = (side / stride for side in box)
    high, wide = bottom - top, right - left
    if not spec.aligned:
        high, wide = max(high, 1.0), max(wide, 1.0)
    size = spec.resolution
    high, wide = high / size, wide / size
    rows, columns = (spec.sampling_ratio or math.ceil(side) for side in (high, wide))
    cells = [
        [
            np.mean(
                [
                    bilinear(
                        x,
                        top - offset + (i + (a + 0.5) / rows) * high,
                        left - offset + (j + (b + 0.5) / columns) * wide,
                    )
                    for a in range(rows)
                    for b in range(columns)
                ]
            )
            for j in range(size)
        ]
        for i in range(size)
    ]
    return torch.tensor(np.array(cells), dtype=torch.float32)


@pytest.mark.parametrize("context", [1.0, 1.5])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling", [0, 2])
def test_crops_are_those_of_roi_align(aligned: bool, sampling: int, context: float) -> None:
    rng = torch.Generator().manual_seed(1)
    maps = [torch.rand(2, 3, 8, 12, generator=rng), torch.rand(2, 3, 4, 6, generator=rng)]
    spec = RoIHeadSpec(
        levels=2, canonical_size=20.0, canonical_level=3, resolution=3, fc=[4],
        aligned=aligned, sampling_ratio=sampling, context=context,
    )  # fmt: skip
    boxes = [[2.5, 3.0, 14.0, 9.0], [-3.0, 1.0, 47.0, 31.0], [40.0, 25.0, 47.5, 31.5]]
    rois = torch.tensor([boxes, boxes[::-1]])
    levels = assigned_levels(rois, STRIDES, spec)
    assert levels.tolist() == [[0, 1, 0], [0, 1, 0]]
    valid = torch.tensor([[True, True, False], [True, True, True]])
    crops, places = roi_align(maps, STRIDES, rois, valid, spec)
    assert crops.shape == (5, 3, 3, 3)
    assert places is not None
    assert places.tolist() == [0, 1, 3, 4, 5]
    found = dict(zip(places.tolist(), crops, strict=True))
    for image in range(2):
        for index in range(3 if image else 2):
            level = int(levels[image, index])
            for channel in range(3):
                left, top, right, bottom = rois[image, index].tolist()
                wide, high = (right - left) * context, (bottom - top) * context
                left, top = (left + right - wide) / 2, (top + bottom - high) / 2
                expected = crop_by_hand(
                    maps[level][image, channel],
                    [left, top, left + wide, top + high],
                    STRIDES[level],
                    spec,
                )
                torch.testing.assert_close(found[3 * image + index][channel], expected)


def test_crops_without_area_are_zeros_and_teach_nothing() -> None:
    maps = [torch.ones(1, 2, 4, 4, requires_grad=True)]
    spec = RoIHeadSpec(levels=1, fc=[4], resolution=2)
    found, _ = roi_align(maps, [4], torch.zeros(1, 3, 4), torch.ones(1, 3).bool(), spec)
    assert found.shape == (3, 2, 2, 2)
    assert not found.any()
    one = torch.tensor([[[1.0, 1.0, 9.0, 9.0]]])
    real, _ = roi_align(maps, [4], one, torch.ones(1, 1).bool(), spec)
    real.sum().backward()  # type: ignore[no-untyped-call]
    assert maps[0].grad is not None
    # Each of two channels of four cells is an average, whose weights add up to 1.
    assert maps[0].grad.sum().item() == pytest.approx(8)


def test_levels_follow_the_sizes_of_boxes() -> None:
    spec = RoIHeadSpec(levels=4, fc=[4])
    sides = torch.tensor([1.0, 111, 112, 223, 224, 447, 448, 2000])
    boxes = torch.stack((0 * sides, 0 * sides, sides, sides), 1)
    found = assigned_levels(boxes, [4, 8, 16, 32], spec)
    assert found.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_proposals_are_the_best_of_all_levels_and_filled_up() -> None:
    spec = RPNSpec(
        anchors=AnchorsSpec(strides=STRIDES, sizes=[[4.0], [8.0]], aspect_ratios=[1.0]),
        pre_nms_topk=20,
        post_nms_topk=40,
    )
    torch.manual_seed(0)
    rpn = RPN(spec, [2, 2])
    # Without it many scores are exactly 0, and any of them may be the best.
    torch.nn.init.ones_(rpn.conv.bias)
    maps = [torch.randn(2, 2, 4, 4), torch.randn(2, 2, 2, 2)]
    found = rpn(maps)
    proposals = rpn.propose(found, pre_nms_topk=20, post_nms_topk=40)
    assert proposals.boxes.shape == (2, 40, 4)
    # 16 and 4 anchors, few of which overlap: the rest is filled up.
    assert (proposals.valid.sum(1) <= 20).all()
    assert (proposals.valid.sum(1) > 10).all()
    assert not proposals.boxes[~proposals.valid].any()
    assert not proposals.boxes.requires_grad
    assert 0 <= proposals.boxes.min() < proposals.boxes.max() <= 16  # inside the image
    best = rpn.propose(found, pre_nms_topk=20, post_nms_topk=3)
    torch.testing.assert_close(best.boxes, proposals.boxes[:, :3])


def test_the_second_stage_learns_from_what_is_sampled() -> None:
    spec = TwoStageHeadSpec(
        type="two_stage",
        rpn=RPNSpec(anchors=ANCHORS, pre_nms_topk=10, post_nms_topk=8),
        roi=RoIHeadSpec(levels=2, fc=[6], resolution=2),
    )
    head = TwoStageHead(spec, [3, 3])
    maps = [torch.randn(2, 3, 4, 4), torch.randn(2, 3, 2, 2)]
    seen = []
    boxes = torch.tensor([[[0.0, 0, 8, 8]], [[2.0, 2, 10, 12]]])

    def sample(proposals: object) -> Tensor:
        seen.append(proposals.boxes.shape)  # type: ignore[attr-defined]
        return boxes

    found = head(maps, sample)
    assert seen == [(2, 1000, 4)]  # as many as the losses' spec says
    assert found.second.rois is boxes
    assert found.second.class_logits.shape == (2, 1, 2)
    assert found.second.deltas.shape == (2, 1, 4)
    answers = head(maps)
    assert answers.boxes().shape == (2, 8, 4)
    assert answers.scores()[~answers.proposals.valid].eq(0).all()


def probabilistic_head(**keys: object) -> tuple[ProbabilisticTwoStageHead, list[Tensor]]:
    """Of 4x4 and 2x2 cells, and with landmarks."""
    torch.manual_seed(0)
    spec = ProbabilisticTwoStageHeadSpec.model_validate(
        {
            "type": "probabilistic_two_stage",
            "first": {
                "type": "dense", "strides": STRIDES, "channels": 4, "tower": 1, "shared": False,
                "norm": "none", "landmarks": True,
                "loss": {"assigner": "atss", "classification": "focal", "box": "iou",
                         "landmark_weight": 0.1},
            },
            "proposals": {"pre_nms_topk": 30, "post_nms_topk": 25, "nms_threshold": 0.8},
            "roi": {"levels": 2, "fc": [6], "resolution": 2},
            "loss": {"pre_nms_topk": 8, "post_nms_topk": 5},
            **keys,
        }
    )  # fmt: skip
    head = ProbabilisticTwoStageHead(spec, [3] * len(spec.level_strides)).eval()
    for level in head.first.levels:
        for layer in (level.classes, level.landmarks):  # type: ignore[union-attr]
            torch.nn.init.normal_(layer.weight)  # type: ignore[union-attr, arg-type]
    torch.nn.init.normal_(head.roi.classes.weight)
    return head, [torch.randn(2, 3, 2 * side, 2 * side) for side in (2, 1)]


def test_a_score_is_made_of_both_stages_and_landmarks_are_those_of_the_cell() -> None:
    head, maps = probabilistic_head()
    found = head(maps)
    dense = head.first(maps)
    log_odds = dense.scores().logit()
    assert found.boxes().shape == (2, 25, 4)
    assert found.landmark_points().shape == (2, 25, 5, 2)
    valid = found.proposals.valid
    assert 10 < valid.sum(1).min() <= valid.sum(1).max() < 20  # of 20 cells, less what is hidden
    for image in range(2):
        best = dense.scores()[image].argsort(descending=True)
        boxes = clipped(dense.boxes()[image, best], found.second.sides)
        cells = best[torch.tensor(greedy(boxes, 0.8))]
        count = len(cells)
        assert count == valid[image].sum()
        points = dense.landmark_points()
        assert points is not None
        torch.testing.assert_close(found.landmarks[image, :count], points[image, cells])
        second = found.second.class_logits[image, :count]
        expected = log_odds[image, cells] + second[:, 1] - second[:, 0]
        torch.testing.assert_close(found.scores()[image, :count], expected.sigmoid())
        assert (expected.argsort(descending=True) != torch.arange(count)).any()
    assert not found.scores()[~valid].any()


def test_boxes_that_are_hidden_are_no_faces() -> None:
    # As many places as cells: what NMS drops fills them up.
    head, maps = probabilistic_head(proposals={"pre_nms_topk": 20, "post_nms_topk": 20})
    found = head(maps)
    valid = found.proposals.valid
    assert (~valid).sum() > 5
    assert (found.logits()[~valid] > -100).all()
    assert not found.scores()[~valid].any()


@pytest.mark.parametrize("min_score", [0.5, 0.9999])
def test_boxes_of_low_scores_are_not_looked_at(min_score: float) -> None:
    head, maps = probabilistic_head()
    proposals = head.spec.proposals.model_dump() | {"min_score": min_score}
    choosy, _ = probabilistic_head(proposals=proposals)
    choosy.load_state_dict(head.state_dict())
    looked_at: list[int] = []
    choosy.roi.fc[0].register_forward_hook(lambda _, x, __: looked_at.append(len(x[0])))
    expected, found = head(maps), choosy(maps)
    high = expected.proposals.valid & (expected.first_logits.sigmoid() > min_score)
    assert 0 <= high.sum() < expected.proposals.valid.sum()
    assert looked_at == [high.sum()]
    assert torch.equal(found.proposals.valid, high)
    torch.testing.assert_close(found.scores(), expected.scores() * high)
    torch.testing.assert_close(found.boxes()[high], expected.boxes()[high])
    # In training they teach what is no face.
    choosy.train()(maps)
    assert looked_at[1] == 10


def test_a_second_stage_that_says_nothing_changes_nothing() -> None:
    head, maps = probabilistic_head()
    for layer in (head.roi.classes, head.roi.boxes):
        torch.nn.init.zeros_(layer.weight)
    found, valid = head(maps), head(maps).proposals.valid
    for image in range(2):
        dense = head.first(maps)
        ranked = dense.scores()[image].sort(descending=True).values
        scores = found.scores()[image][valid[image]]
        assert scores[0].item() == pytest.approx(ranked[0].item())
        assert torch.isin(scores.mul(1e4).round(), ranked.mul(1e4).round()).all()
    torch.testing.assert_close(found.boxes()[valid], found.proposals.boxes[valid])


def test_centreness_is_part_of_what_the_first_stage_says() -> None:
    first = probabilistic_head()[0].spec.first.model_dump(exclude_unset=True)
    head, maps = probabilistic_head(first=first | {"centerness": True})
    torch.nn.init.zeros_(head.roi.classes.weight)
    found = head(maps)
    best = head.first(maps).scores().amax(1)
    torch.testing.assert_close(found.scores()[:, 0], best, rtol=1e-4, atol=0)


def test_the_second_stage_may_see_finer_maps_than_the_first() -> None:
    roi = {"levels": 3, "fc": [6], "resolution": 2, "canonical_size": 16, "canonical_level": 2}
    head, maps = probabilistic_head(finer=1, roi=roi)
    fine = torch.randn(2, 3, 8, 8)
    assert head.spec.level_strides == [2, *STRIDES]
    found, same = head([fine, *maps]), head.first(maps)
    torch.testing.assert_close(found.first.class_logits, same.class_logits)
    other = head([fine + 1, *maps])
    assert torch.equal(other.proposals.boxes, found.proposals.boxes)
    small = (found.proposals.boxes[..., 2:] - found.proposals.boxes[..., :2]).prod(-1).sqrt() < 16
    changed = (other.second.class_logits != found.second.class_logits).any(-1)
    # Those from 16 pixels on, stride 4 has.
    assert torch.equal(changed[found.proposals.valid], small[found.proposals.valid])
    assert 0 < small[found.proposals.valid].float().mean() < 1


def test_the_second_look_learns_from_the_best_boxes_of_the_first() -> None:
    head, maps = probabilistic_head()
    found = head.train()(maps)
    assert found.boxes().shape == (2, 5, 4)  # as many as the losses' spec says
    torch.testing.assert_close(found.proposals.boxes, head.eval()(maps).proposals.boxes[:, :5])
    (found.logits().sum() + found.boxes().sum()).backward()
    # What the first stage finds is chosen without gradients.
    assert head.first.levels[0].classes.weight.grad is None  # type: ignore[union-attr]
    assert head.first.levels[0].boxes.weight.grad is None  # type: ignore[union-attr]
    assert head.roi.fc[0].weight.grad is not None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"roi": {"levels": 3, "fc": [4]}}, "at most 2, those that reach the head"),
        ({"finer": 2, "first": {"strides": [2, 4]}}, "finer is 2: expected a finest stride"),
        ({"proposals": {"pre_nms_topk": 4, "post_nms_topk": 5}}, "at most proposals.pre_nms_topk"),
        ({"loss": {"pre_nms_topk": 4, "post_nms_topk": 5}}, "at most loss.pre_nms_topk, 4"),
    ],
)
def test_numbers_of_proposals_fit(keys: dict[str, object], message: str) -> None:
    content = probabilistic_head()[0].spec.model_dump(exclude_unset=True)
    if isinstance(first := keys.get("first"), dict):
        keys = keys | {"first": content["first"] | first}
    with pytest.raises(ValueError, match=message):
        ProbabilisticTwoStageHeadSpec.model_validate(content | keys)


def test_weights_fit_whatever_the_losses_are() -> None:
    spec = probabilistic_head()[0].spec
    first = spec.first
    other = first.model_copy(update={"anchor_scale": 4.0, "loss": None})
    assert spec.model_copy(update={"first": other, "loss": None}).of_network() == spec.of_network()
    delta = first.model_copy(update={"box_coding": "delta"})
    larger = delta.model_copy(update={"anchor_scale": 4.0})  # what its boxes are told in
    assert delta.of_network() != larger.of_network()
    fewer = spec.proposals.model_copy(update={"post_nms_topk": 3, "min_score": 0.1})
    assert spec.model_copy(update={"proposals": fewer}).of_network() == spec.of_network()
    narrow = first.model_copy(update={"channels": 3})
    assert spec.model_copy(update={"first": narrow}).of_network() != spec.of_network()


@pytest.mark.parametrize("extra", ["p5_relu", "p5", "c5", "max_pool"])
def test_coarser_maps_are_made_as_asked(extra: str) -> None:
    spec = FPNSpec.model_validate({"type": "fpn", "channels": 4, "levels": 4, "extra": extra})
    torch.manual_seed(0)
    fpn = FPN(spec, [6, 8])
    maps = [torch.randn(1, 6, 8, 8), torch.randn(1, 8, 4, 4)]
    _, p5, p6, p7 = fpn(maps)
    assert (p6.shape, p7.shape) == ((1, 4, 2, 2), (1, 4, 1, 1))
    if extra == "max_pool":
        torch.testing.assert_close(p6, p5[..., ::2, ::2])
        torch.testing.assert_close(p7, p6[..., ::2, ::2])
        return
    first = {"p5_relu": p5.relu(), "p5": p5, "c5": maps[1]}[extra]
    torch.testing.assert_close(p6, fpn.extra[0](first))
    torch.testing.assert_close(p7, fpn.extra[1](p6.relu()))


@pytest.mark.parametrize(("stride_in", "strides"), [("1x1", (2, 1)), ("3x3", (1, 2))])
def test_the_stride_is_where_the_template_says(stride_in: str, strides: tuple[int, int]) -> None:
    spec = ResNetSpec.model_validate({"type": "resnet", "depth": 50, "stride_in": stride_in})
    with torch.device("meta"):
        branch = ResNet(spec).stages[1][0].branch
    assert (branch[0][0].stride[0], branch[1][0].stride[0]) == strides


def test_stages_that_do_not_learn_keep_their_statistics() -> None:
    keys = {"type": "resnet", "depth": 50, "frozen_stages": 2}
    network = ResNet(ResNetSpec.model_validate(keys)).train()
    before = {name: one.clone() for name, one in network.named_buffers()}
    with torch.no_grad():
        network(torch.rand(2, 3, 64, 64) * 255)
    moved = {name for name, one in network.named_buffers() if not torch.equal(one, before[name])}
    assert moved == {name for name in before if not name.startswith(("stem.", "stages.0."))}
    assert all(one.training for one in network.stages[1].modules())
    assert not any(one.training for one in network.eval().modules())


def test_frozen_parts_do_not_learn() -> None:
    keys = {"type": "resnet", "depth": 50, "finest": 8, "norm": "frozen", "frozen_stages": 2}
    with torch.device("meta"):
        network = ResNet(ResNetSpec.model_validate(keys)).train()
        assert [x.shape[1] for x in network(torch.empty(1, 3, 64, 64))] == [512, 1024, 2048]
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(isinstance(norm, FrozenBatchNorm) and not norm.training for norm in norms)
    kernels = {name for name, p in network.named_parameters() if p.ndim > 1}
    assert {n for n in kernels if n.startswith(("stem.", "stages.0."))} == frozen & kernels
