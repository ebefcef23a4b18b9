"""Training of a segmenter: aligned heads with masks, and losses of pixels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...data.mask_pairs import MaskPair
from ...model_templates.heads import MaskHeadSpec
from ...model_templates.schema import Template
from ...models.network import Network
from ..describe import contract_for
from ..learning import EpochSampler, Teacher, as_floats, seeded
from .distillation import MaskTeacher, find_teacher
from .head_crops import HeadCrops, MaskTargets, collate
from .mask_loss import mask_losses
from .rules import augmentation_of

loader = EpochSampler


def crops(
    template: Template,
    samples: Sequence[MaskPair],
    *,
    seed: int,
    passes: int,  # noqa: ARG001
) -> HeadCrops:
    """See `tasks.parts.Learn`."""
    return HeadCrops(
        samples,
        spec=augmentation_of(template),
        target=contract_for(template).input,
        classes=template.dataset.classes,
        seed=seed,
    )


class SegmentationLearner:
    """Losses of pixels, on samples already augmented.

    Args:
        head: The head, with its losses.
        teacher: The teacher for distillation; None without.
    """

    def __init__(self, head: MaskHeadSpec, *, teacher: MaskTeacher | None) -> None:
        self.loss = head.loss
        self.teacher = teacher

    def losses(
        self, network: Network, images: Tensor, targets: MaskTargets, *, seed: int
    ) -> dict[str, Tensor]:
        """See `mask_losses`, and `MaskTeacher.losses`."""
        images = as_floats(images)
        logits = seeded(network, images, seed=seed)
        losses = mask_losses(logits, targets.classes, self.loss)
        if self.teacher is not None:
            losses |= self.teacher.losses(images, logits)
        return losses


def learner(
    template: Template,
    _: Sequence[MaskPair],
    *,
    teacher: Teacher | None,
) -> SegmentationLearner:
    """See `tasks.parts.Learn`."""
    assert teacher is None or isinstance(teacher, MaskTeacher)
    head = template.architecture.head
    assert isinstance(head, MaskHeadSpec)  # guaranteed by the rules
    return SegmentationLearner(head, teacher=teacher)


__all__ = ["SegmentationLearner", "collate", "crops", "find_teacher", "learner", "loader"]
