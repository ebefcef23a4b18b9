"""Losses of RetinaNet (Lin et al. 2017, section 4) as Detectron2 has them.

The names of its settings (`modeling/meta_arch/retinanet.py`) stand beside ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...model_templates.anchor_heads import RetinaHeadSpec
from ...models.retina_head import RetinaPredictions
from ...models.ssd_head import encode
from .anchor_match import match_batch
from .dense_loss import focal
from .targets import Targets
from .two_stage_loss import box_distance

FIRST_NORMALIZER = 100.0
"""What is taken for the number of positive anchors before the first batch."""

_MOMENTUM = 0.9


def retina_loss(
    predictions: RetinaPredictions,
    targets: Targets,
    *,
    spec: RetinaHeadSpec,
    normalizer: Tensor,
) -> dict[str, Tensor]:
    """Losses of a batch: `class` (focal loss) and `box` (smooth L1 on the deltas).

    Both sums are divided by the number of positive anchors, averaged over the batches so far, as
    in a batch of few faces single anchors would weigh too much. Detectron2:
    `RETINANET.IOU_THRESHOLDS`, `FOCAL_LOSS_ALPHA`, `FOCAL_LOSS_GAMMA`, `SMOOTH_L1_LOSS_BETA`.

    Args:
        predictions: Of the batch.
        targets: Faces of the batch.
        spec: The head.
        normalizer: The averaged number of positive anchors, a scalar; changed in place.
    """
    settings = spec.loss
    logits = predictions.class_logits.float()
    matched = match_batch(
        targets,
        predictions.anchors,
        batch_size=len(logits),
        negative_iou=settings.negative_iou,
        positive_iou=settings.positive_iou,
    )
    positive = matched.positive
    counted = positive | matched.negative
    with torch.no_grad():
        normalizer.mul_(_MOMENTUM).add_((1 - _MOMENTUM) * positive.sum().clamp(min=1))
    classification = focal(
        logits[counted],
        positive[counted].float(),
        alpha=settings.alpha,
        gamma=settings.gamma,
    )
    encoded = encode(
        targets.boxes[matched.face[positive]],
        predictions.anchors.expand(len(logits), -1, -1)[positive],
        variances=predictions.variances,
    )
    deltas = predictions.deltas.float()[positive]
    # A copy, as the average changes again before the gradients are known in accumulated batches.
    count = normalizer.clone()
    return {
        "class": classification.sum() / count,
        "box": box_distance(deltas, encoded, beta=settings.smooth_l1_beta) / count,
    }
