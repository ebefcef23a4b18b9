"""Distillation: learn a larger detector's answers to the same samples beside the labels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UserError
from ...model_templates.dense_heads import DenseHeadSpec
from ...model_templates.schema import TemplateFile
from ...models.dense_head import DensePredictions
from ...models.network import Network
from ...models.weights import build_network
from ..teachers import TEACHER_KEY, teacher_weights
from .boxes import paired_similarity
from .dense_loss import quality_focal

SURE = 0.1
"""Lowest score of the teacher's boxes and points that are learnt."""


class DetectorTeacher:
    """A trained detector with the same cells as the pupil; checkpoints leave out its weights.

    Args:
        network: The teacher's network, in eval mode.
        path: File of its weights.
        sha256: SHA-256 of that file.
        weight: Weight of the distillation losses.
        spec: Specification of the pupil's head.
    """

    def __init__(
        self, network: Network, path: Path, *, sha256: str, weight: float, spec: DenseHeadSpec
    ) -> None:
        self.path = path
        self.sha256 = sha256
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._weight = weight
        self._spec = spec

    def __deepcopy__(self, _: object) -> DetectorTeacher:
        return self  # averaging copies the module, but the teacher never changes

    def losses(self, images: Tensor, predictions: DensePredictions) -> dict[str, Tensor]:
        """Losses of a batch by name, from float32 (B, 3, H, W), 0-255 BGR, and the predictions."""
        with torch.no_grad():
            taught = self._network.to(images.device)(images, raw=True)
        losses = distillation_loss(predictions, taught, spec=self._spec)
        return {name: self._weight * loss for name, loss in losses.items()}


def find_teacher(student: TemplateFile) -> DetectorTeacher | None:
    """The teacher that a template's recipe names; None if it names none.

    Raises:
        UserError: See `teacher_weights`; or the teacher's cells differ from the student's.
    """
    spec, weights = student.spec.hyper_parameters.distillation, teacher_weights(student)
    if spec is None or weights is None:
        return None
    head, own = weights.template.architecture.head, student.spec.architecture.head
    assert isinstance(own, DenseHeadSpec)  # guaranteed by the schema
    if not isinstance(head, DenseHeadSpec) or head.strides != own.strides:
        raise UserError(
            f"{TEACHER_KEY}: {spec.teacher}: its cells are others; expected a detector with a "
            f"dense head of strides {own.strides}"
        )
    network = build_network(weights)
    return DetectorTeacher(
        network, weights.path, sha256=weights.sha256, weight=spec.weight, spec=own
    )


def distillation_loss(
    predictions: DensePredictions, taught: DensePredictions, *, spec: DenseHeadSpec
) -> dict[str, Tensor]:
    """Losses of a batch against the teacher's answers, weighted like the label losses.

    `taught_class` is the quality focal loss to its scores in all cells, as the teacher also knows
    faces in ignored regions. `taught_box` and `taught_landmark` use the cells with a score above
    `SURE`, weighted by that score.
    """
    scores = taught.scores().float()
    sure = scores > SURE
    weight = scores[sure]
    total = weight.sum().clamp(min=1.0)
    logits = predictions.class_logits.float()
    losses = {"taught_class": quality_focal(logits, scores).sum() / total}
    boxes, truth = (one.boxes().float()[sure] for one in (predictions, taught))
    overlap = paired_similarity(boxes, truth, kind=spec.loss.box)
    losses["taught_box"] = spec.loss.box_weight * ((1 - overlap) * weight).sum() / total
    if predictions.landmarks is not None and taught.landmarks is not None:
        points, true_points = (
            one.float()[sure] for one in (predictions.landmarks, taught.landmarks)
        )
        error = functional.smooth_l1_loss(points, true_points, reduction="none").sum(-1)
        losses["taught_landmark"] = spec.loss.landmark_weight * (error * weight).sum() / total
    return losses
