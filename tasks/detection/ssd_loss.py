"""MultiBox loss of the SSD head (Liu et al. 2016, section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ...model_templates.heads import SSDHeadSpec
from ...models.ssd_head import FACE, SSDPredictions, encode
from .assign import Assignment, Claims, resolve
from .boxes import paired_similarity
from .targets import Targets


def ssd_loss(
    predictions: SSDPredictions, targets: Targets, *, spec: SSDHeadSpec
) -> dict[str, Tensor]:
    """Losses of a batch: `class` (softmax cross-entropy) and `box` (smooth L1 on the deltas).

    Only the hardest negatives of each photo count: `spec.negative_ratio` for each of its
    positives, and as many as for one positive if it has none. Anchors that match an ignored box,
    or are centred in it, are not negatives, as mining would pick just those. Both sums are divided
    by the number of positives in the batch.
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
    """Assign anchors to faces: all with enough IoU, and in any case the best free one.

    Args:
        targets: Faces of the batch.
        anchors: Anchors (N, 4): centre x, centre y, width, height, in pixels.
        batch_size: Number of samples, B.
        positive_iou: Smallest IoU of a match.
    """
    halves = anchors[:, 2:] / 2
    corners = torch.cat((anchors[:, :2] - halves, anchors[:, :2] + halves), dim=-1)
    boxes = torch.cat((targets.boxes, targets.ignore_boxes))
    iou = paired_similarity(corners[None], boxes[:, None])  # (M, N)
    claims = Claims(
        cells=torch.arange(len(anchors), device=anchors.device).expand(len(boxes), -1),
        chosen=iou >= positive_iou,
        # A face without area or outside the image overlaps no anchor, and cannot be encoded.
        preference=iou.masked_fill(iou <= 0, -torch.inf),
        priority=iou,
    )
    return resolve(targets, claims, points=anchors[:, :2], batch_size=batch_size)


def hard_negatives(loss: Tensor, *, positive: Tensor, candidate: Tensor, ratio: int) -> Tensor:
    """The candidates with the highest loss in each photo: `ratio` per positive, at least `ratio`.

    Args:
        loss: Loss of each anchor, float32 (B, N).
        positive: Which anchors are positive, bool (B, N).
        candidate: Which anchors may be negative, bool (B, N), disjoint from `positive`.
        ratio: Number of negatives per positive.

    Returns:
        Which anchors are chosen, bool (B, N).
    """
    limit = ratio * positive.sum(1, keepdim=True).clamp(min=1)
    order = loss.masked_fill(~candidate, -1.0).argsort(dim=1, descending=True)
    rank = order.argsort(dim=1)
    return candidate & (rank < limit)
