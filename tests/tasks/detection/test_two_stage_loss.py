"""The losses of both stages and the sampling between them, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pocketface.model_templates.anchor_heads import (
    AnchorsSpec,
    RoIHeadSpec,
    RoILossSpec,
    RPNSpec,
    TwoStageHeadSpec,
    TwoStageLossSpec,
)
from pocketface.model_templates.dense_heads import DenseHeadSpec, ProbabilisticTwoStageHeadSpec
from pocketface.models.dense_head import DenseHead
from pocketface.models.probabilistic_head import ProbabilisticPredictions
from pocketface.models.proposals import Proposals
from pocketface.models.roi_head import RoIPredictions
from pocketface.models.rpn import RPNPredictions
from pocketface.models.ssd_head import encode
from pocketface.models.two_stage_head import TwoStagePredictions
from pocketface.tasks.detection.anchor_match import generator_for
from pocketface.tasks.detection.dense_loss import dense_loss
from pocketface.tasks.detection.two_stage_loss import (
    probabilistic_loss,
    roi_loss,
    rpn_loss,
    sample_proposals,
    two_stage_loss,
)

from .some_targets import targets

SPEC = TwoStageHeadSpec(
    type="two_stage",
    rpn=RPNSpec(
        anchors=AnchorsSpec(strides=[16], sizes=[[16.0]], aspect_ratios=[1.0], offset=0.5),
        pre_nms_topk=16,
        post_nms_topk=16,
    ),
    roi=RoIHeadSpec(levels=1, fc=[8]),
    loss=TwoStageLossSpec(pre_nms_topk=16, post_nms_topk=16, rpn_samples=8, roi_samples=8),
)
ANCHORS = torch.tensor(
    [[16.0 * x + 8, 16.0 * y + 8, 16.0, 16.0] for y in range(4) for x in range(4)]
)  # 64 x 64 px
FACE = [16.0, 16.0, 32.0, 32.0]  # anchor 5


def rpn(logits: Tensor | None = None, deltas: Tensor | None = None) -> RPNPredictions:
    return RPNPredictions(
        logits=[torch.zeros(1, 16) if logits is None else logits],
        deltas=[torch.zeros(1, 16, 4) if deltas is None else deltas],
        anchors=[ANCHORS],
        sides=torch.tensor([64.0, 64.0]),
    )


def random(seed: int = 0) -> torch.Generator:
    return generator_for(torch.device("cpu"), seed=seed)


def second(rois: list[list[float]], logits: list[list[float]] | None = None) -> RoIPredictions:
    count = len(rois)
    return RoIPredictions(
        rois=torch.tensor([rois]),
        class_logits=torch.zeros(1, count, 2) if logits is None else torch.tensor([logits]),
        deltas=torch.zeros(1, count, 4),
        variances=SPEC.roi.variances,
        sides=torch.tensor([64.0, 64.0]),
    )


def proposed(rois: list[list[float]]) -> Proposals:
    return Proposals(torch.tensor([rois]), torch.ones(1, len(rois), dtype=torch.bool))


def test_rpn_losses_by_hand() -> None:
    # One positive anchor and 7 of the 15 negative ones: ln 2 each, over 8. Its box fits.
    losses = rpn_loss(rpn(), targets([FACE]), spec=SPEC, generator=random())
    assert losses["rpn_objectness"].item() == pytest.approx(math.log(2))
    assert losses["rpn_box"].item() == 0
    # 4 px to the right, a quarter of the anchor: IoU 12 / 20 = .6, the best. L1 of .25, over 8.
    moved = [20.0, 16.0, 36.0, 32.0]
    losses = rpn_loss(rpn(), targets([moved]), spec=SPEC, generator=random())
    assert losses["rpn_box"].item() == pytest.approx(0.25 / 8)
    smooth = SPEC.model_copy(update={"loss": SPEC.loss.model_copy(update={"smooth_l1_beta": 0.5})})
    losses = rpn_loss(rpn(), targets([moved]), spec=smooth, generator=random())
    assert losses["rpn_box"].item() == pytest.approx(0.5 * 0.25**2 / 0.5 / 8)


def test_rpn_learns_boxes_of_positive_anchors_alone() -> None:
    deltas = torch.zeros(1, 16, 4, requires_grad=True)
    logits = torch.zeros(1, 16, requires_grad=True)
    losses = rpn_loss(
        rpn(logits, deltas), targets([[17.0, 17.0, 33.0, 33.0]]), spec=SPEC, generator=random()
    )
    torch.stack(list(losses.values())).sum().backward()
    assert deltas.grad is not None
    assert logits.grad is not None
    assert deltas.grad.abs().sum(-1).nonzero().tolist() == [[0, 5]]
    assert (logits.grad[0] < 0).nonzero().tolist() == [[5]]
    assert (logits.grad[0] > 0).sum() == 7


def test_a_photo_without_faces_learns_that() -> None:
    found = TwoStagePredictions(rpn=rpn(), proposals=proposed([FACE]), second=second([FACE]))
    losses = two_stage_loss(found, targets([]), spec=SPEC, generator=random())
    assert losses["rpn_objectness"].item() == pytest.approx(math.log(2))
    assert losses["class"].item() == pytest.approx(math.log(2))
    assert losses["rpn_box"].item() == losses["box"].item() == 0


def test_roi_losses_by_hand() -> None:
    # A face's own box, one far away, and one that only fills up.
    rois = [FACE, [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 0.0, 0.0]]
    logits = [[0.0, math.log(3)], [math.log(3), 0.0], [-9.0, 9.0]]
    losses = roi_loss(second(rois, logits), targets([FACE]), spec=SPEC.loss)
    assert losses["class"].item() == pytest.approx(math.log(4 / 3))
    assert losses["box"].item() == 0
    # A box of 20 px around the face: IoU .64; the deltas are those that lead to the face.
    near = torch.tensor([[14.0, 14.0, 34.0, 34.0]])
    losses = roi_loss(second(near.tolist()), targets([FACE]), spec=SPEC.loss)
    expected = 2 * math.log(20 / 16) / 0.2
    assert losses["box"].item() == pytest.approx(expected)
    found = second(near.tolist())
    anchor = torch.tensor([[24.0, 24.0, 20.0, 20.0]])
    right = encode(torch.tensor([FACE]), anchor, variances=SPEC.roi.variances)[None]
    assert torch.allclose(replace(found, deltas=right).boxes()[0], torch.tensor([FACE]))
    assert (
        roi_loss(replace(found, deltas=right), targets([FACE]), spec=SPEC.loss)["box"].item() == 0
    )


def test_proposals_of_ignored_faces_do_not_count() -> None:
    rois = [FACE, [48.0, 48.0, 60.0, 60.0]]
    faces = targets([], ignore=[FACE])
    losses = roi_loss(second(rois, [[-9.0, 9.0], [0.0, 0.0]]), faces, spec=SPEC.loss)
    assert losses["class"].item() == pytest.approx(math.log(2))
    chosen = sample_proposals(proposed(rois), faces, spec=SPEC.loss, generator=random())
    assert chosen.tolist() == [rois[1:]]


def test_faces_are_proposals_and_a_quarter_at_most_is_positive() -> None:
    # 6 boxes near a face, 30 far away: 2 of the near ones (with the face itself), 6 far ones.
    near = [[16.0 + i / 10, 16.0, 32.0, 32.0] for i in range(1, 7)]
    far = [[40.0 + i / 10, 40.0, 60.0, 60.0] for i in range(30)]
    boxes = torch.tensor(near + far).expand(2, -1, -1)
    proposals = Proposals(boxes, torch.ones(2, len(boxes[0]), dtype=torch.bool))

    def chosen(seed: int, image: int = 1) -> list[list[float]]:
        found: list[list[list[float]]] = sample_proposals(
            proposals, targets([FACE], [1]), spec=SPEC.loss, generator=random(seed)
        ).tolist()
        return found[image]

    assert [len(chosen(0)), sum(x0 < 40 for x0, *_ in chosen(0))] == [8, 2]
    assert chosen(0) == chosen(0) != chosen(1)
    assert any(FACE in chosen(seed) for seed in range(20))
    # Where there is no face, near boxes are as good as others.
    assert max(sum(x0 < 40 for x0, *_ in chosen(seed, 0)) for seed in range(20)) > 2


def test_images_of_fewer_proposals_are_filled_up() -> None:
    boxes = torch.zeros(2, 3, 4)
    boxes[0] = torch.tensor([[40.0, 40.0, 50.0, 50.0], [41.0, 40.0, 50.0, 50.0], FACE])
    valid = torch.tensor([[True, True, False], [False, False, False]])
    faces = targets([FACE], [1])
    chosen = sample_proposals(Proposals(boxes, valid), faces, spec=SPEC.loss, generator=random())
    assert chosen[0].tolist() == boxes[0, :2].tolist()
    assert chosen[1].tolist() == [FACE, [0.0] * 4]
    # None at all: one without area, as the network wants a shape.
    nothing = sample_proposals(
        Proposals(boxes, valid[[1, 1]]), targets([]), spec=SPEC.loss, generator=random()
    )
    assert nothing.tolist() == [[[0.0] * 4]] * 2


def test_losses_of_a_dense_first_stage_are_its_own_beside_the_seconds() -> None:
    first = DenseHeadSpec.model_validate(
        {
            "type": "dense", "strides": [16], "channels": 4, "tower": 1, "shared": False,
            "norm": "none", "anchor_scale": 1.0,
            "loss": {"assigner": "atss", "classification": "focal", "box": "iou"},
        }
    )  # fmt: skip
    spec = ProbabilisticTwoStageHeadSpec(
        type="probabilistic_two_stage",
        first=first,
        roi=SPEC.roi,
        loss=RoILossSpec(pre_nms_topk=16, post_nms_topk=16),
    )
    dense = DenseHead(first, [3])([torch.randn(1, 3, 4, 4)])
    # A face at an IoU of 256 / 400, something else, and no proposal at all.
    near = [[14.0, 14.0, 34.0, 34.0], [40.0, 40.0, 60.0, 60.0], [0.0] * 4]
    found = ProbabilisticPredictions(
        first=dense,
        proposals=Proposals(torch.tensor([near]), torch.tensor([[True, True, False]])),
        first_logits=torch.tensor([[2.0, -1.0, 4.0]]),
        landmarks=None,
        second=second(near),
    )
    losses = probabilistic_loss(found, targets([FACE]), spec=spec)
    expected = dense_loss(dense, targets([FACE]), spec=first)
    assert losses.keys() == {"first_class", "first_box", "class", "box"}
    for name, value in expected.items():
        assert losses[f"first_{name}"].item() == pytest.approx(value.item())
    # The second stage says nothing yet: log-odds are those of the first.
    sure, unsure = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))
    there = (0.64 - sure) ** 2 * (math.log1p(math.exp(2)) - 0.64 * 2)
    nothing = unsure**2 * math.log1p(math.exp(-1))
    assert losses["class"].item() == pytest.approx(there + nothing)
    assert losses["box"].item() == pytest.approx(2 * math.log(20 / 16) / 0.2 / 2)
    # With a box that fits exactly, its score should be 1.
    found.second.deltas[0, 0, 2:] = math.log(16 / 20) / 0.2
    losses = probabilistic_loss(found, targets([FACE]), spec=spec)
    there = (1 - sure) ** 2 * math.log1p(math.exp(-2))
    assert losses["class"].item() == pytest.approx(there + nothing)
    assert losses["box"].item() == pytest.approx(0, abs=1e-6)
    # Of an ignored face nothing is learnt.
    faces = targets([FACE], ignore=[near[1]])
    losses = probabilistic_loss(found, faces, spec=spec)
    assert losses["class"].item() == pytest.approx(there)
