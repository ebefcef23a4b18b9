"""Training of a segmenter: aligned heads with masks, and losses of pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...data.mask_pairs import MaskPair
from ...model_templates.heads import MaskHeadSpec
from ...model_templates.schema import Template, TemplateFile
from ...models.network import Network
from ..describe import contract_for
from ..learning import EpochSampler, Teacher
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
    """Losses of pixels, on samples already augmented."""

    def __init__(self, head: MaskHeadSpec) -> None:
        self.loss = head.loss

    def losses(
        self, network: Network, images: Tensor, targets: MaskTargets, *, seed: int
    ) -> dict[str, Tensor]:
        """See `mask_losses`."""
        images = images.float().contiguous(memory_format=torch.channels_last)
        devices = [images.device] if images.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)  # for dropout
            logits = network(images, raw=True)
        return mask_losses(logits, targets.classes, self.loss)


def find_teacher(_: TemplateFile) -> Teacher | None:
    """See `tasks.parts.Learn`; None, as the rules allow no teacher."""
    return None


def learner(
    template: Template,
    _: Sequence[MaskPair],
    *,
    teacher: Teacher | None,  # noqa: ARG001
) -> SegmentationLearner:
    """See `tasks.parts.Learn`."""
    head = template.architecture.head
    assert isinstance(head, MaskHeadSpec)  # guaranteed by the rules
    return SegmentationLearner(head)


__all__ = ["SegmentationLearner", "collate", "crops", "find_teacher", "learner", "loader"]
