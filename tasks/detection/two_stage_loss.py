"""Losses of two stages: of the region proposal network, and of the look at its proposals.

Faster R-CNN (Ren et al. 2015, sections 3.1.2 and 3.1.3; Girshick 2015, section 2.3) as Detectron2
has it (`modeling/proposal_generator/rpn.py`, `modeling/roi_heads/`); the names of its settings
stand beside ours.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from ...model_templates.anchor_heads import RoILossSpec, TwoStageHeadSpec, TwoStageLossSpec
from ...model_templates.dense_heads import ProbabilisticTwoStageHeadSpec
from ...models.probabilistic_head import ProbabilisticPredictions
from ...models.proposals import Proposals
from ...models.roi_head import RoIPredictions
from ...models.rpn import RPNPredictions
from ...models.ssd_head import BACKGROUND, FACE, encode
from ...models.two_stage_head import TwoStagePredictions
from .anchor_match import Match, match, match_batch, sampled, stacked
from .boxes import paired_similarity
from .dense_loss import dense_loss, quality_focal
from .targets import Targets


def two_stage_loss(
    predictions: TwoStagePredictions,
    targets: Targets,
    *,
    spec: TwoStageHeadSpec,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Losses of a batch: `rpn_objectness`, `rpn_box`, `class` and `box`.

    Args:
        predictions: Those of the proposals that `sample_proposals` chose.
        targets: Faces of the batch.
        spec: The head.
        generator: Source of all randomness.
    """
    losses = rpn_loss(predictions.rpn, targets, spec=spec, generator=generator)
    return losses | roi_loss(predictions.second, targets, spec=spec.loss)


def probabilistic_loss(
    predictions: ProbabilisticPredictions,
    targets: Targets,
    *,
    spec: ProbabilisticTwoStageHeadSpec,
) -> dict[str, Tensor]:
    """Losses of a batch: those of a dense head as `first_class`, …, then `class` and `box`.

    The log-odds of both stages learn how well the second one's box fits its face, its IoU, or 0
    where there is none, by quality focal loss, so that scores mean what those of a first stage
    with that loss do. It is divided by the number of proposals with a face, the loss of the box by
    that of all that learn.

    Args:
        predictions: The head's.
        targets: Faces of the batch.
        spec: The head.
    """
    first = dense_loss(predictions.first, targets, spec=spec.first)
    losses = {f"first_{name}": loss for name, loss in first.items()}
    second, valid = predictions.second, predictions.proposals.valid
    matched = _match_rois(list(second.rois), targets, spec=spec.loss)
    counted = valid & (matched.positive | matched.negative)
    positive = valid & matched.positive
    fits = torch.zeros_like(second.rois[..., 0])
    faces = targets.boxes[matched.face[positive]]
    fits[positive] = paired_similarity(second.boxes().detach().float()[positive], faces)
    wrong = quality_focal(predictions.logits().float()[counted], fits[counted]).sum()
    distance = _deltas_loss(second, positive, faces, beta=spec.loss.smooth_l1_beta)
    return losses | {
        "class": wrong / positive.sum().clamp(min=1),
        "box": distance / counted.sum().clamp(min=1),
    }


def rpn_loss(
    predictions: RPNPredictions,
    targets: Targets,
    *,
    spec: TwoStageHeadSpec,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Binary cross-entropy of sampled anchors, and smooth L1 on the deltas of the positive ones.

    Both sums are divided by the number of anchors that were to be sampled. Detectron2:
    `RPN.IOU_THRESHOLDS`, `RPN.BATCH_SIZE_PER_IMAGE`, `RPN.POSITIVE_FRACTION`,
    `RPN.SMOOTH_L1_BETA`.
    """
    settings = spec.loss
    logits = torch.cat(predictions.logits, 1).float()
    deltas = torch.cat(predictions.deltas, 1).float()
    anchors = torch.cat(predictions.anchors)
    matched = match_batch(
        targets,
        anchors,
        batch_size=len(logits),
        negative_iou=settings.rpn_negative_iou,
        positive_iou=settings.rpn_positive_iou,
    )
    positive, negative = sampled(
        matched,
        count=settings.rpn_samples,
        positives=settings.rpn_positives,
        generator=generator,
    )
    counted = positive | negative
    count = settings.rpn_samples * len(logits)
    entropy = functional.binary_cross_entropy_with_logits(
        logits[counted], positive[counted].float(), reduction="sum"
    )
    encoded = encode(
        targets.boxes[matched.face[positive]],
        anchors.expand(len(logits), -1, -1)[positive],
        variances=spec.rpn.variances,
    )
    distance = box_distance(deltas[positive], encoded, beta=settings.smooth_l1_beta)
    return {"rpn_objectness": entropy / count, "rpn_box": distance / count}


def roi_loss(
    predictions: RoIPredictions, targets: Targets, *, spec: TwoStageLossSpec
) -> dict[str, Tensor]:
    """Softmax cross-entropy of the sampled proposals, and smooth L1 of those with a face.

    Both sums are divided by the number of sampled proposals. Detectron2:
    `ROI_BOX_HEAD.SMOOTH_L1_BETA`.
    """
    rois = predictions.rois
    matched = _match_rois(list(rois), targets, spec=spec)
    # Boxes without area fill up images of fewer proposals.
    counted = (rois[..., 2:] > rois[..., :2]).all(-1) & (matched.positive | matched.negative)
    positive = matched.positive & counted
    count = counted.sum().clamp(min=1)
    labels = torch.where(positive, FACE, BACKGROUND)
    entropy = functional.cross_entropy(
        predictions.class_logits.float()[counted], labels[counted], reduction="sum"
    )
    faces = targets.boxes[matched.face[positive]]
    distance = _deltas_loss(predictions, positive, faces, beta=spec.smooth_l1_beta)
    return {"class": entropy / count, "box": distance / count}


def _deltas_loss(
    predictions: RoIPredictions, positive: Tensor, faces: Tensor, *, beta: float
) -> Tensor:
    """Smooth L1 of the deltas where `positive` (B, R), to the faces (P, 4) of those places."""
    boxes = predictions.rois[positive]
    anchors = torch.cat(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]), dim=-1)
    encoded = encode(faces, anchors, variances=predictions.variances)
    return box_distance(predictions.deltas.float()[positive], encoded, beta=beta)


@torch.no_grad()
def sample_proposals(
    proposals: Proposals, targets: Targets, *, spec: TwoStageLossSpec, generator: torch.Generator
) -> Tensor:
    """Choose the boxes from which the second stage learns; the faces are proposals too.

    Detectron2: `PROPOSAL_APPEND_GT`, `ROI_HEADS.IOU_THRESHOLDS`,
    `ROI_HEADS.BATCH_SIZE_PER_IMAGE`, `ROI_HEADS.POSITIVE_FRACTION`.

    Returns:
        Boxes (B, S, 4): x1, y1, x2, y2 in pixels, of S as many as the image with most has; the
        others are filled up by zeros.
    """
    chosen = []
    for image, (boxes, valid) in enumerate(zip(proposals.boxes, proposals.valid, strict=True)):
        faces = targets.boxes[targets.image_index == image].to(boxes.dtype)
        faces = faces[(faces[:, 2:] > faces[:, :2]).all(1)]
        candidates = torch.cat((boxes[valid], faces))
        positive, negative = sampled(
            _match_rois([candidates], targets, spec=spec, first=image),
            count=spec.roi_samples,
            positives=spec.roi_positives,
            generator=generator,
        )
        chosen.append(candidates[(positive | negative)[0]])
    # One at least, of zeros: of none the network would not know the shape.
    chosen.append(proposals.boxes.new_zeros((1, 4)))
    return pad_sequence(chosen, batch_first=True)[:-1]


def box_distance(deltas: Tensor, encoded: Tensor, *, beta: float) -> Tensor:
    """Smooth L1 (Girshick 2015, equation 3), its parabola ending at `beta`, summed up."""
    return functional.smooth_l1_loss(deltas, encoded, reduction="sum", beta=beta)


def _match_rois(
    rois: list[Tensor], targets: Targets, *, spec: RoILossSpec, first: int = 0
) -> Match:
    return stacked(
        [
            match(
                boxes,
                targets,
                image,
                negative_iou=spec.roi_iou,
                positive_iou=spec.roi_iou,
                best_learn=False,
            )
            for image, boxes in enumerate(rois, start=first)
        ]
    )
