"""MultiBox loss of the SSD head (Liu et al. 2016, section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..model_templates.architecture import SSDHeadSpec
from ..models.ssd_head import FACE, SSDPredictions, encode
from .assign import Assignment, resolve
from .boxes import paired_similarity
from .targets import Targets

FORCED = 2.0
"""Added to the IoU of a face's best anchor, so that this claim goes before all others."""


def ssd_loss(
    predictions: SSDPredictions, targets: Targets, *, spec: SSDHeadSpec
) -> dict[str, Tensor]:
    """Losses of a batch: `class` (softmax cross-entropy) and `box` (smooth L1 on the deltas).

    Only the hardest negatives of each photo count, `spec.negative_ratio` for each of its
    positives, and as many as for one positive where a photo has none. Anchors centred in an
    ignored region are no negatives. Both sums are divided by the positives of the batch.
    """
    assignment = match(
        targets,
        anchors=predictions.anchors,
        batch_size=len(predictions.class_logits),
        positive_iou=spec.positive_iou,
    )
    positive = assignment.positive
    count = max(len(positive), 1)

    logits = predictions.class_logits.float()
    labels = torch.zeros(logits.shape[:2], dtype=torch.int64, device=logits.device)
    labels.view(-1)[positive] = FACE
    entropy = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    entropy = entropy.view_as(labels)
    negative = hard_negatives(
        entropy.detach(),
        positive=labels == FACE,
        candidate=(labels != FACE) & (assignment.weight > 0),
        ratio=spec.negative_ratio,
    )
    counted = negative | (labels == FACE)

    encoded = encode(
        targets.boxes[assignment.target],
        predictions.anchors[positive % len(predictions.anchors)],
        variances=predictions.variances,
    )
    deltas = predictions.deltas.float().flatten(0, 1)[positive]
    return {
        "class": (entropy * counted).sum() / count,
        "box": functional.smooth_l1_loss(deltas, encoded, reduction="sum") / count,
    }


def match(targets: Targets, *, anchors: Tensor, batch_size: int, positive_iou: float) -> Assignment:
    """Anchors that learn a face: all of enough IoU with it, and its best one in any case.

    Args:
        targets: Faces of the batch.
        anchors: (N, 4) as centre x, centre y, width, height, pixels.
        batch_size: B.
        positive_iou: Smallest IoU of a match.
    """
    halves = anchors[:, 2:] / 2
    corners = torch.cat((anchors[:, :2] - halves, anchors[:, :2] + halves), dim=-1)
    iou = paired_similarity(corners[None], targets.boxes[:, None])  # (T, N)
    best, best_cell = iou.max(dim=1)
    chosen = iou >= positive_iou
    # A face without area, or outside, overlaps no anchor and has no encoding.
    real = (best > 0).nonzero().squeeze(1)
    chosen[real, best_cell[real]] = True
    iou[real, best_cell[real]] += FORCED
    face, cell = chosen.nonzero(as_tuple=True)
    return resolve(
        targets,
        points=anchors[:, :2],
        batch_size=batch_size,
        face=face,
        cell=cell,
        priority=iou[face, cell],
    )


def hard_negatives(loss: Tensor, *, positive: Tensor, candidate: Tensor, ratio: int) -> Tensor:
    """The candidates of highest loss in each photo, `ratio` for each positive, at least `ratio`.

    Args:
        loss: float32 (B, N).
        positive: bool (B, N).
        candidate: bool (B, N), disjoint from `positive`.
        ratio: Negatives per positive.

    Returns:
        bool (B, N).
    """
    limit = ratio * positive.sum(1, keepdim=True).clamp(min=1)
    order = loss.masked_fill(~candidate, -1.0).argsort(dim=1, descending=True)
    rank = order.argsort(dim=1)
    return candidate & (rank < limit)
