"""Training of a classifier: aligned faces and cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from ...data.labelled_faces import LabelledFace
from ...model_templates.schema import Template, TemplateFile
from ...models.network import Network
from ..describe import contract_for
from ..learning import EpochSampler, Teacher, as_floats, seeded
from .face_crops import FaceCrops, FaceTargets, collate
from .rules import augmentation_of

LABEL_SMOOTHING = 0.04

loader = EpochSampler


def crops(
    template: Template, samples: Sequence[LabelledFace], *, seed: int, passes: int
) -> FaceCrops:
    """See `tasks.parts.Learn`."""
    return FaceCrops(
        samples,
        spec=augmentation_of(template),
        target=contract_for(template).input,
        seed=seed,
        passes=passes,
    )


class ClassificationLearner:
    """Cross-entropy with smoothed labels (Szegedy et al. 2016), on samples already augmented."""

    def losses(
        self, network: Network, images: Tensor, targets: FaceTargets, *, seed: int
    ) -> dict[str, Tensor]:
        """One loss: `classes`."""
        logits = seeded(network, as_floats(images), seed=seed)
        loss = functional.cross_entropy(logits, targets.labels, label_smoothing=LABEL_SMOOTHING)
        return {"classes": loss}


def find_teacher(_: TemplateFile) -> Teacher | None:
    """See `tasks.parts.Learn`; None, as the rules allow no teacher."""
    return None


def learner(
    _: Template,
    __: Sequence[LabelledFace],
    *,
    teacher: Teacher | None,  # noqa: ARG001
) -> ClassificationLearner:
    """See `tasks.parts.Learn`."""
    return ClassificationLearner()


__all__ = ["ClassificationLearner", "collate", "crops", "find_teacher", "learner", "loader"]
