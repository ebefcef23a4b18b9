"""Training of a recogniser: aligned faces, and losses of people, pairs and a teacher."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ...data.identities import IdentityPhoto
from ...errors import DataError, UserError
from ...model_templates.embedding_head import (
    ContrastiveLossSpec,
    EmbeddingHeadSpec,
    TripletLossSpec,
)
from ...model_templates.schema import Template
from ...models.network import Network
from ..describe import contract_for
from ..learning import Teacher, as_floats, seeded
from .crops import PeopleCrops, PeopleTargets, collate
from .distillation import EmbeddingTeacher, find_teacher
from .embedding_loss import contrastive_loss, loss_of, taught_loss, triplet_loss
from .rules import augmentation_of, head_of
from .sampler import loader

_UNKNOWN = -1


def crops(
    template: Template, samples: Sequence[IdentityPhoto], *, seed: int, passes: int
) -> PeopleCrops:
    """See `tasks.parts.Learn`."""
    loss = head_of(template).loss
    together = loss.photos if isinstance(loss, ContrastiveLossSpec | TripletLossSpec) else None
    return PeopleCrops(
        samples,
        spec=augmentation_of(template),
        target=contract_for(template).input,
        together=together,
        seed=seed,
        passes=passes,
    )


class RecognitionLearner(nn.Module):
    """Losses of labels and of a teacher, on samples already augmented.

    What it has of each person, and what brings a vector to the teacher's number of components, is
    trained with the network and exists in training alone.

    Args:
        head: The head, with its loss.
        samples: The photos of the training.
        teacher: The teacher for distillation; None without.

    Attributes:
        rows: Names of the people that `loss` has weights of; see `tasks.learning.Learner`.
    """

    def __init__(
        self,
        head: EmbeddingHeadSpec,
        samples: Sequence[IdentityPhoto],
        *,
        teacher: EmbeddingTeacher | None,
    ) -> None:
        super().__init__()
        self.spec = head.loss
        names = sorted({one.person for one in samples if one.person is not None and one.found})
        index = {name: place for place, name in enumerate(names)}
        if head.loss is not None and len(names) < 2:
            raise DataError(
                f"the training photos show {len(names)} people whose names are known: expected two "
                f"or more for architecture.head.loss {head.loss.type!r}"
            )
        people = [_UNKNOWN if s.person is None else index.get(s.person, _UNKNOWN) for s in samples]
        # No buffers: with many photos it takes long to average them, or to send them to others.
        self.people = torch.tensor(people)
        self.loss = (
            None if head.loss is None else loss_of(head.loss, people=len(names), size=head.size)
        )
        self.rows = [] if self.loss is None else names
        self.weight = 0.0 if teacher is None else teacher.weight
        taught = np.zeros((0, 0), np.float32) if teacher is None else teacher.embeddings(samples)
        self.taught = torch.from_numpy(taught)
        self.project: nn.Module = nn.Identity()
        if teacher is not None and taught.shape[1] != head.size:
            self.project = nn.Linear(head.size, taught.shape[1], bias=False)

    def losses(
        self, network: Network, images: Tensor, targets: PeopleTargets, *, seed: int
    ) -> dict[str, Tensor]:
        """The losses `people` (or `pairs`, `triplets`) and `taught`, as far as the template asks.

        Photos of unknown people learn from the teacher alone. Where a batch has no other ones the
        loss is 0: several processes wait for each other's losses and gradients.
        """
        vectors = seeded(network, as_floats(images), seed=seed).float()
        # In half precision a cosine near 1 is 1, where the angle has no gradient.
        with torch.autocast(images.device.type, enabled=False):
            return self._losses(vectors, targets)

    def _losses(self, vectors: Tensor, targets: PeopleTargets) -> dict[str, Tensor]:
        photos = targets.image_ids.to("cpu")
        people = self.people[photos].to(vectors.device)
        known = people != _UNKNOWN
        found: dict[str, Tensor] = {}
        own, theirs = vectors[known], people[known]
        if isinstance(self.spec, ContrastiveLossSpec):
            found["pairs"] = contrastive_loss(own, theirs, self.spec)
        elif isinstance(self.spec, TripletLossSpec):
            found["triplets"] = triplet_loss(own, theirs, self.spec)
        elif self.loss is not None:
            progress = float(targets.progress.mean())
            found["people"] = self.loss(own, theirs, progress=progress)
        if self.weight:
            taught = self.taught[photos].to(vectors.device)
            seen = taught.isfinite().all(1)
            found["taught"] = self.weight * taught_loss(
                self.project(vectors[seen]), taught[seen], vectors[seen]
            )
        return found


def learner(
    template: Template, samples: Sequence[IdentityPhoto], *, teacher: Teacher | None
) -> RecognitionLearner:
    """See `tasks.parts.Learn`.

    Raises:
        UserError: The template has neither a loss nor a teacher.
        DataError: The photos show fewer than two people, whom a loss is to tell apart.
    """
    assert teacher is None or isinstance(teacher, EmbeddingTeacher)
    if teacher is None and head_of(template).loss is None:
        raise UserError(
            f"template {template.name}: architecture.head.loss is null: expected a loss, or "
            "hyper_parameters.distillation to learn from"
        )
    return RecognitionLearner(head_of(template), samples, teacher=teacher)


__all__ = ["RecognitionLearner", "collate", "crops", "find_teacher", "learner", "loader"]
