"""Losses of the dense head."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ...model_templates.dense_heads import DenseHeadSpec
from ...models.dense_head import NUM_LANDMARKS, DensePredictions
from .assign import REACH, Assignment, atss, center_sampling, simota
from .boxes import paired_similarity
from .targets import Targets

_WEIGHTING = {"quality_focal": "confidence", "focal": "centerness"}
"""Weighting of box losses for each class loss, as in the papers."""


def dense_loss(
    predictions: DensePredictions, targets: Targets, *, spec: DenseHeadSpec
) -> dict[str, Tensor]:
    """Losses of a batch: `class`, `box`, and if the head has them `centerness` and `landmark`.

    Classification is divided by the number of positive cells; box and landmark losses are
    weighted by each cell's confidence or centre-ness and divided by the sum of these weights
    (Li et al. 2020; Tian et al. 2019).
    """
    settings = spec.loss
    assignment = assign(predictions, targets, spec=spec)
    positive, target = assignment.positive, assignment.target
    logits = predictions.class_logits.float().flatten()
    boxes = predictions.boxes().float().flatten(0, 1)[positive]
    truth = targets.boxes[target]
    cells = positive % len(predictions.points)
    centred = centerness_target(
        predictions.points[cells], truth, smallest=REACH * 2 * predictions.strides[cells]
    )
    count = max(len(positive), 1)

    if settings.classification == "quality_focal":
        quality = paired_similarity(boxes.detach(), truth)
        soft = torch.zeros_like(logits).index_put((positive,), quality)
        classification = quality_focal(logits, soft)
    else:
        hard = torch.zeros_like(logits).index_fill(0, positive, 1.0)
        classification = focal(logits, hard)
    losses = {"class": (classification * assignment.weight.flatten()).sum() / count}

    weighting = settings.box_weighting or _WEIGHTING[settings.classification]
    weight = logits[positive].detach().sigmoid() if weighting == "confidence" else centred
    total = weight.sum().clamp(min=1.0)
    overlap = paired_similarity(boxes, truth, kind=settings.box)
    losses["box"] = settings.box_weight * ((1 - overlap) * weight).sum() / total
    if predictions.centerness_logits is not None:
        losses["centerness"] = (
            functional.binary_cross_entropy_with_logits(
                predictions.centerness_logits.float().flatten()[positive],
                centred,
                reduction="sum",
            )
            / count
        )
    if predictions.landmarks is not None and settings.landmark_weight:
        losses["landmark"] = settings.landmark_weight * _landmark_loss(
            predictions, targets, assignment, weight
        )
    return losses


def assign(predictions: DensePredictions, targets: Targets, *, spec: DenseHeadSpec) -> Assignment:
    """Positive cells, by the assigner that the template names."""
    if spec.loss.assigner == "simota":
        return simota(targets, predictions)
    if spec.loss.assigner == "atss":
        return atss(
            targets,
            points=predictions.points,
            strides=predictions.strides,
            level_sizes=predictions.level_sizes,
            batch_size=len(predictions.class_logits),
            anchor_scale=spec.anchor_scale,
            top_k=spec.loss.top_k,
            min_cells=spec.loss.min_cells,
        )
    return center_sampling(
        targets,
        points=predictions.points,
        strides=predictions.strides,
        level_sizes=predictions.level_sizes,
        batch_size=len(predictions.class_logits),
        first_range=spec.loss.first_range,
    )


def quality_focal(logits: Tensor, quality: Tensor, *, beta: float = 2.0) -> Tensor:
    """Quality focal loss (Li et al. 2020, equation 2), per element; `quality` is 0 to 1."""
    modulation = (quality - logits.sigmoid()).abs().pow(beta)
    return modulation * functional.binary_cross_entropy_with_logits(
        logits, quality, reduction="none"
    )


def focal(logits: Tensor, target: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin et al. 2017), per element; `target` is 0 or 1."""
    probability = logits.sigmoid()
    wrong = torch.where(target > 0, 1 - probability, probability)
    balance = torch.where(target > 0, alpha, 1 - alpha)
    return (
        balance
        * wrong.pow(gamma)
        * functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    )


def centerness_target(points: Tensor, boxes: Tensor, *, smallest: Tensor) -> Tensor:
    """FCOS's centre-ness (equation 3): 1 at a box's centre, 0 at its edge and outside.

    A box counts as at least `smallest` wide and high: the cell nearest to a tiny face can lie
    outside it, and with centre-ness 0 it would learn no box and never find the face.

    Args:
        points: Cell centres (P, 2), in pixels.
        boxes: Boxes (P, 4), in pixels.
        smallest: Smallest side of each box (P,), in pixels.
    """
    grow = (smallest[:, None] - (boxes[:, 2:] - boxes[:, :2])).clamp(min=0) / 2
    to_first, to_second = points - boxes[:, :2] + grow, boxes[:, 2:] + grow - points
    near = torch.minimum(to_first, to_second).clamp(min=0)
    far = torch.maximum(to_first, to_second).clamp(min=1e-6)
    return (near / far).prod(-1).sqrt()


def _landmark_loss(
    predictions: DensePredictions, targets: Targets, assignment: Assignment, weight: Tensor
) -> Tensor:
    """Smooth L1 in strides over the known points; `weight` is (P,)."""
    assert predictions.landmarks is not None
    positive = assignment.positive
    cells = positive % len(predictions.points)
    offsets = targets.landmarks[assignment.target] - predictions.points[cells, None]
    offsets = offsets / predictions.strides[cells, None, None]
    known = offsets.isfinite().all(-1)  # (P, 5)
    predicted = predictions.landmarks.float().reshape(-1, NUM_LANDMARKS, 2)[positive]
    error = functional.smooth_l1_loss(
        predicted, offsets.where(known[..., None], predicted.detach()), reduction="none"
    ).sum(-1)
    share = weight[:, None] * known
    # Scaled per face as if all five points were known.
    return (error * share).sum() / (share.sum() / known.shape[1]).clamp(min=1.0)
