"""Training of a detector: samples, losses, and a teacher's answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ...data.coco import Photo
from ...model_templates.schema import Template
from ...models.dense_head import DensePredictions
from ...models.network import Network
from ..learning import EpochSampler, Teacher
from .dense_loss import dense_loss
from .distillation import DetectorTeacher, find_teacher
from .photo_crops import PhotoCrops, collate
from .photometric import Photometric
from .rules import augmentation_of
from .ssd_loss import ssd_loss
from .targets import Targets

_log = logging.getLogger(__name__)

LOSSES: dict[str, Callable[..., dict[str, Tensor]]] = {"dense": dense_loss, "ssd": ssd_loss}
"""Loss functions by type of head."""

loader = EpochSampler


def crops(
    template: Template,
    samples: Sequence[Photo],
    *,
    seed: int,
    passes: int,  # noqa: ARG001
) -> PhotoCrops:
    """See `tasks.parts.Learn`."""
    head, recipe = template.architecture.head, template.hyper_parameters
    if (
        head.type == "dense"
        and head.landmarks
        and recipe.distillation is None
        and not any(np.isfinite(photo.landmarks).any() for photo in samples)
    ):
        _log.warning("no training face has landmarks: the network does not learn to find them")
    spec = augmentation_of(template)
    return PhotoCrops(
        samples,
        spec=spec,
        height=spec.size or template.input.height,
        width=spec.size or template.input.width,
        seed=seed,
    )


class DetectionLearner(nn.Module):
    """Losses of boxes, scores and landmarks.

    Args:
        template: The template, with the recipe.
        teacher: The teacher for distillation; None without distillation.
    """

    def __init__(self, template: Template, *, teacher: DetectorTeacher | None) -> None:
        super().__init__()
        self.head = template.architecture.head
        self.teacher = teacher
        self.photometric = Photometric() if augmentation_of(template).photometric else None

    def losses(
        self, network: Network, images: Tensor, targets: Targets, *, seed: int
    ) -> dict[str, Tensor]:
        """Distort the images, predict, and compare with the boxes."""
        images = images.float()
        if self.photometric is not None:
            images = self.photometric(images, seed=seed)
        images = images.contiguous(memory_format=torch.channels_last)
        predictions = network(images, raw=True)
        losses = LOSSES[self.head.type](predictions, targets, spec=self.head)
        if self.teacher is not None:
            assert isinstance(predictions, DensePredictions)  # guaranteed by the rules
            losses |= self.teacher.losses(images, predictions)
        return losses


def learner(
    template: Template,
    _: Sequence[Photo],
    *,
    teacher: Teacher | None,
) -> DetectionLearner:
    """See `tasks.parts.Learn`."""
    assert teacher is None or isinstance(teacher, DetectorTeacher)
    return DetectionLearner(template, teacher=teacher)


__all__ = ["DetectionLearner", "collate", "crops", "find_teacher", "learner", "loader"]
