"""Training of a detector: samples, losses, and a teacher's answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...data.coco import Photo
from ...model_templates.anchor_heads import RetinaHeadSpec, TwoStageHeadSpec
from ...model_templates.dense_heads import DenseHeadSpec, ProbabilisticTwoStageHeadSpec
from ...model_templates.schema import Template
from ...models.dense_head import DensePredictions
from ...models.network import Network
from ..learning import EpochSampler, Teacher
from .anchor_match import generator_for
from .dense_loss import dense_loss
from .distillation import DetectorTeacher, find_teacher
from .lights import Lights
from .photo_crops import PhotoCrops, collate
from .photometric import Photometric
from .retina_loss import FIRST_NORMALIZER, retina_loss
from .rules import augmentation_of
from .ssd_loss import ssd_loss
from .targets import Targets
from .two_stage_loss import probabilistic_loss, sample_proposals, two_stage_loss

_log = logging.getLogger(__name__)

LOSSES: dict[str, Callable[..., dict[str, Tensor]]] = {"dense": dense_loss, "ssd": ssd_loss}
"""Loss functions of a batch's predictions and targets, by type of head."""

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
    first = head.first if isinstance(head, ProbabilisticTwoStageHeadSpec) else head
    if (
        isinstance(first, DenseHeadSpec)
        and first.landmarks
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

    Attributes:
        normalizer: See `retina_loss`; of RetinaNet's head alone.

    Args:
        template: The template, with the recipe.
        teacher: The teacher for distillation; None without distillation.
    """

    normalizer: Tensor

    def __init__(self, template: Template, *, teacher: DetectorTeacher | None) -> None:
        super().__init__()
        self.head = template.architecture.head
        self.teacher = teacher
        augmentation = augmentation_of(template)
        self.photometric = Photometric() if augmentation.photometric else None
        self.lights = Lights(augmentation.lights) if augmentation.lights else None
        if isinstance(self.head, RetinaHeadSpec):
            # Kept for resuming.
            self.register_buffer("normalizer", torch.tensor(FIRST_NORMALIZER))

    def losses(
        self, network: Network, images: Tensor, targets: Targets, *, seed: int
    ) -> dict[str, Tensor]:
        """Distort the images, predict, and compare with the boxes."""
        images = images.float()
        if self.photometric is not None:
            images = self.photometric(images, seed=seed)
        if self.lights is not None:
            images = self.lights(images, seed=seed)
        images = images.contiguous(memory_format=torch.channels_last)
        predictions, losses = self._compared(network, images, targets, seed=seed)
        if self.teacher is not None:
            assert isinstance(predictions, DensePredictions)  # guaranteed by the rules
            losses |= self.teacher.losses(images, predictions)
        return losses

    def _compared(
        self, network: Network, images: Tensor, targets: Targets, *, seed: int
    ) -> tuple[Any, dict[str, Tensor]]:
        """The network's raw predictions, and their losses."""
        if isinstance(self.head, TwoStageHeadSpec):
            generator = generator_for(images.device, seed=seed)
            sampler = partial(
                sample_proposals, targets=targets, spec=self.head.loss, generator=generator
            )
            found = network(images, raw=True, targets=sampler)
            return found, two_stage_loss(found, targets, spec=self.head, generator=generator)
        found = network(images, raw=True)
        if isinstance(self.head, ProbabilisticTwoStageHeadSpec):
            return found, probabilistic_loss(found, targets, spec=self.head)
        if isinstance(self.head, RetinaHeadSpec):
            normalizer = self.normalizer
            return found, retina_loss(found, targets, spec=self.head, normalizer=normalizer)
        return found, LOSSES[self.head.type](found, targets, spec=self.head)


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
