"""Losses of the dense head, against figures worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch

from pocketface.model_templates.dense_heads import DenseHeadSpec, DenseLossSpec
from pocketface.models.dense_head import DensePredictions, grid_points
from pocketface.tasks.detection.boxes import paired_similarity
from pocketface.tasks.detection.dense_loss import (
    centerness_target,
    dense_loss,
    focal,
    quality_focal,
)
from pocketface.tasks.detection.targets import Targets

CELLS, STRIDE = 8, 8
FACE = [20.0, 28.0, 52.0, 60.0]
LN2 = math.log(2)


def head(
    classification: Literal["focal", "quality_focal"], *, centerness: bool = False
) -> DenseHeadSpec:
    return DenseHeadSpec(
        type="dense",
        strides=[STRIDE],
        channels=8,
        tower=1,
        shared=False,
        norm="none",
        centerness=centerness,
        landmarks=True,
        anchor_scale=4.0,
        loss=DenseLossSpec(
            assigner="atss",
            classification=classification,
            box="giou",
            landmark_weight=1.0,
            top_k=4,
        ),
    )


def targets(
    boxes: list[list[float]],
    *,
    landmarks: float = math.nan,
    ignore: list[list[float]] | None = None,
) -> Targets:
    return Targets(
        boxes=torch.tensor(boxes).reshape(-1, 4),
        image_index=torch.zeros(len(boxes), dtype=torch.int64),
        landmarks=torch.full((len(boxes), 5, 2), landmarks),
        ignore_boxes=torch.tensor(ignore or []).reshape(-1, 4),
        ignore_index=torch.zeros(len(ignore or []), dtype=torch.int64),
        image_ids=torch.tensor([1]),
    )


def perfect(*, logit: float = 20.0, centerness: bool = False) -> DensePredictions:
    """Predictions that find FACE at the cell of its centre, and nothing elsewhere.

    The anchor of 32 px there has IoU 1, its neighbours have .6: ATSS takes this cell alone.
    """
    points = grid_points(CELLS, CELLS, STRIDE, device=torch.device("cpu"))
    face = torch.tensor(FACE)
    near = (points == torch.tensor([36.0, 44.0])).all(-1)
    distances = torch.cat((points - face[:2], face[2:] - points), dim=-1) / STRIDE
    landmarks = (torch.full((10,), 40.0) - points.repeat(1, 5)) / STRIDE
    return DensePredictions(
        class_logits=torch.where(near, logit, -logit)[None].requires_grad_(),
        distances=distances[None].clone().requires_grad_(),
        centerness_logits=torch.zeros(1, CELLS**2, requires_grad=True) if centerness else None,
        landmarks=landmarks[None].clone().requires_grad_(),
        points=points,
        strides=torch.full((CELLS**2,), float(STRIDE)),
        level_sizes=(CELLS**2,),
    )


def test_quality_focal_is_zero_at_perfect_quality() -> None:
    quality = torch.tensor([0.1, 0.5, 0.9])
    assert quality_focal(torch.logit(quality), quality).abs().max() < 1e-10
    # |1 - 0.5|^2 x ln 2
    assert quality_focal(torch.zeros(1), torch.ones(1)).item() == pytest.approx(0.25 * LN2)
    assert quality_focal(torch.zeros(1), torch.zeros(1)).item() == pytest.approx(0.25 * LN2)


def test_focal_by_hand() -> None:
    got = focal(torch.zeros(2), torch.tensor([1.0, 0.0]))
    assert got.tolist() == pytest.approx([0.25 * 0.25 * LN2, 0.75 * 0.25 * LN2])
    # A sure and right answer costs next to nothing: (1 - 0.982)^2.
    assert focal(torch.tensor([4.0]), torch.ones(1)).item() < 2e-6


def test_centerness_by_hand() -> None:
    boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0]] * 4)
    points = torch.tensor([[4.0, 4.0], [2.0, 4.0], [0.0, 4.0], [-1.0, 4.0]])
    expected = [1.0, math.sqrt(2 / 6), 0.0, 0.0]
    got = centerness_target(points, boxes, smallest=torch.zeros(4))
    assert got.tolist() == pytest.approx(expected)
    # As if of 24 px, from -8 to 16: (10, 14) of it at x = 2, (8, 16) at 0, (7, 17) at -1.
    expected = [1.0, math.sqrt(10 / 14), math.sqrt(8 / 16), math.sqrt(7 / 17)]
    got = centerness_target(points, boxes, smallest=torch.full((4,), 24.0))
    assert got.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("assigner", ["atss", "center_sampling", "simota"])
def test_a_face_smaller_than_a_cell_teaches_class_box_and_centerness(
    assigner: Literal["atss", "center_sampling", "simota"],
) -> None:
    # 2 px where four cells meet: no centre is in it.
    spec = head("focal", centerness=True)
    spec = spec.model_copy(update={"loss": spec.loss.model_copy(update={"assigner": assigner})})
    predictions = perfect(logit=0.0, centerness=True)
    centerness = predictions.centerness_logits
    assert centerness is not None
    losses = dense_loss(predictions, targets([[15.0, 15.0, 17.0, 17.0]]), spec=spec)
    outputs = (predictions.class_logits, predictions.distances)
    classes, boxes = torch.autograd.grad(losses["class"] + losses["box"], outputs)
    (cell,) = (classes[0] < 0).nonzero().squeeze(1).tolist()  # the one whose score rises
    assert predictions.points[cell].tolist() in [[x, y] for x in (12.0, 20.0) for y in (12.0, 20.0)]
    assert boxes[0, cell].abs().max() > 0
    # Each side of 24 px taken for it has (8, 16): centre-ness 1/2, which logits of 0 are.
    assert losses["centerness"].item() == pytest.approx(LN2)
    assert torch.autograd.grad(losses["centerness"], centerness)[0].abs().max() < 1e-7


@pytest.mark.parametrize(
    ("kind", "beside", "half"),
    # Two squares of 10: side by side (hull 20 x 10; centres 10 apart, diagonal^2 500); and one
    # shifted by half (intersection 50, union 150, hull 15 x 10; 5 apart, diagonal^2 325).
    [
        ("iou", 0.0, 1 / 3),
        ("giou", 0.0, 1 / 3),
        ("diou", -100 / 500, 1 / 3 - 25 / 325),
        ("eiou", -100 / 500, 1 / 3 - 25 / 325),
    ],
)
def test_similarities_by_hand(
    kind: Literal["iou", "giou", "diou", "eiou"], beside: float, half: float
) -> None:
    first = torch.tensor([0.0, 0.0, 10.0, 10.0])
    second = torch.tensor([[10.0, 0.0, 20.0, 10.0], [5.0, 0.0, 15.0, 10.0], [0.0, 0.0, 10.0, 10.0]])
    got = paired_similarity(first, second, kind=kind).tolist()
    assert got == pytest.approx([beside, half, 1.0])


def test_eiou_compares_widths_and_heights() -> None:
    # 10 x 10 in the middle of 20 x 40: IoU 1/8; the hull is the larger, 10 of 20 and 30 of 40 off.
    first, second = torch.tensor([5.0, 15.0, 15.0, 25.0]), torch.tensor([0.0, 0.0, 20.0, 40.0])
    assert paired_similarity(first, second, kind="diou").item() == pytest.approx(1 / 8)
    expected = 1 / 8 - (10 / 20) ** 2 - (30 / 40) ** 2
    assert paired_similarity(first, second, kind="eiou").item() == pytest.approx(expected)


def test_giou_of_boxes_far_apart_is_negative() -> None:
    # Hull 30 x 10, union 200: 0 - (300 - 200) / 300.
    first, second = torch.tensor([0.0, 0.0, 10.0, 10.0]), torch.tensor([20.0, 0.0, 30.0, 10.0])
    assert paired_similarity(first, second, kind="giou").item() == pytest.approx(-1 / 3)


def test_perfect_predictions_cost_nothing() -> None:
    losses = dense_loss(perfect(), targets([FACE], landmarks=40.0), spec=head("quality_focal"))
    assert losses.keys() == {"class", "box", "landmark"}
    assert all(loss.item() == pytest.approx(0.0, abs=1e-5) for loss in losses.values())


@pytest.mark.parametrize("classification", ["focal", "quality_focal"])
def test_worse_predictions_cost_more(classification: Literal["focal", "quality_focal"]) -> None:
    spec = head(classification, centerness=True)
    good = perfect(centerness=True)
    truth = targets([FACE], landmarks=40.0)
    assert good.landmarks is not None
    best = dense_loss(good, truth, spec=spec)
    assert best.keys() == {"class", "box", "centerness", "landmark"}
    for change, key in (
        ({"class_logits": -good.class_logits}, "class"),
        ({"distances": good.distances * 2}, "box"),
        ({"landmarks": good.landmarks + 1}, "landmark"),
        ({"centerness_logits": torch.full((1, CELLS**2), -9.0)}, "centerness"),
    ):
        worse = dense_loss(replace(good, **change), truth, spec=spec)
        assert worse[key] > best[key] + 0.1


@pytest.mark.parametrize("classification", ["focal", "quality_focal"])
def test_what_weighs_the_box_loss(classification: Literal["focal", "quality_focal"]) -> None:
    # The only positive cell is at the centre of its face (centre-ness 1) and half sure of it.
    unsure = perfect(logit=0.0)
    wide = replace(unsure, distances=unsure.distances * 2)
    spec = head(classification)
    truth = targets([FACE])
    found = {}
    for weighting in (None, "confidence", "centerness"):
        loss = spec.loss.model_copy(update={"box_weighting": weighting})
        found[weighting] = dense_loss(wide, truth, spec=spec.model_copy(update={"loss": loss}))
    boxes = {weighting: losses["box"].item() for weighting, losses in found.items()}
    assert boxes["centerness"] == pytest.approx(0.75)  # IoU 1 / 4, and the same centre
    assert boxes["confidence"] == pytest.approx(0.75 / 2)
    assert boxes[None] == boxes["centerness" if classification == "focal" else "confidence"]
    assert len({losses["class"].item() for losses in found.values()}) == 1


def test_an_ignored_region_carries_no_loss_and_no_gradient() -> None:
    # A sure false alarm in the top left corner.
    predictions = perfect()
    logits = predictions.class_logits.detach().clone()
    logits[0, 0] = 20.0
    alarm = replace(predictions, class_logits=logits.requires_grad_())
    spec = head("quality_focal")
    counted = dense_loss(alarm, targets([FACE]), spec=spec)
    assert counted["class"] > 1
    ignored = dense_loss(alarm, targets([FACE], ignore=[[0.0, 0.0, 8.0, 8.0]]), spec=spec)
    assert ignored["class"].item() == pytest.approx(0.0, abs=1e-5)
    gradient = torch.autograd.grad(ignored["class"], alarm.class_logits)[0]
    assert gradient[0, 0] == 0


def test_unknown_landmarks_carry_no_loss() -> None:
    off = perfect()
    assert off.landmarks is not None
    off = replace(off, landmarks=off.landmarks + 1)
    spec = head("quality_focal")
    assert dense_loss(off, targets([FACE], landmarks=40.0), spec=spec)["landmark"] > 1
    assert dense_loss(off, targets([FACE]), spec=spec)["landmark"] == 0


@pytest.mark.parametrize("classification", ["focal", "quality_focal"])
def test_a_batch_without_faces_is_finite(
    classification: Literal["focal", "quality_focal"],
) -> None:
    losses = dense_loss(
        perfect(logit=1.0, centerness=True),
        targets([]),
        spec=head(classification, centerness=True),
    )
    assert losses["class"] > 0
    assert all(loss.isfinite() for loss in losses.values())
    assert losses["box"] == losses["centerness"] == losses["landmark"] == 0
