"""Losses of embeddings. Imports torch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...model_templates.embedding_head import (
    ContrastiveLossSpec,
    EmbeddingLossSpec,
    MarginLossSpec,
    SoftmaxLossSpec,
    TripletLossSpec,
)


class PeopleLoss(nn.Module):
    """Cross-entropy of the person, with a row of weights for each; see the schemas of the losses.

    Args:
        spec: The loss.
        people: Number of people.
        size: Number of components of an embedding.
    """

    def __init__(self, spec: SoftmaxLossSpec | MarginLossSpec, *, people: int, size: int) -> None:
        super().__init__()
        self.spec = spec
        self.weight = nn.Parameter(torch.empty(people, size))
        nn.init.normal_(self.weight, std=size**-0.5)

    def forward(self, vectors: Tensor, people: Tensor, *, progress: float) -> Tensor:
        """The loss of vectors (B, size) of these people, int64 (B,); 0 of none, as all losses here.

        Args:
            vectors: float32, of any length.
            people: Index of each one's person.
            progress: Share of the training that is done, 0 to 1.
        """
        spec = self.spec
        if isinstance(spec, SoftmaxLossSpec):
            return _entropy(vectors @ self.weight.T, people)
        cosines = functional.normalize(vectors) @ functional.normalize(self.weight).T
        margin = spec.margin
        if spec.warmup > 0:
            margin *= min(1.0, progress / spec.warmup)
        own = cosines.gather(1, people[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
        smaller = own - margin if spec.type == "cosface" else _turned(own, margin)
        logits = cosines.scatter(1, people[:, None], smaller)
        return _entropy(spec.scale * logits, people)


def _turned(cosines: Tensor, margin: float) -> Tensor:
    """Cosines of angles larger by the margin; beyond half a turn they fall on in a straight line.

    As in the authors' code, so that the loss has no minimum there.
    """
    sines = (1 - cosines * cosines).sqrt()
    turned = cosines * math.cos(margin) - sines * math.sin(margin)
    last = -math.cos(margin)
    return torch.where(cosines > last, turned, cosines - margin * math.sin(margin))


def contrastive_loss(vectors: Tensor, people: Tensor, spec: ContrastiveLossSpec) -> Tensor:
    """The loss of all pairs of a batch; see `ContrastiveLossSpec`.

    Args:
        vectors: float32 (B, size), of any length.
        people: int64 (B,).
        spec: The loss.
    """
    squares = _squared_distances(vectors)
    same, other = _pairs(people)
    near = squares[same]
    far = (spec.margin - (squares[other] + 1e-8).sqrt()).clamp(min=0).square()
    return _mean(near) / 2 + _mean(far) / 2


def triplet_loss(vectors: Tensor, people: Tensor, spec: TripletLossSpec) -> Tensor:
    """The loss of each pair of a person with one negative; see `TripletLossSpec`.

    The negative is the nearest one that is farther than the pair's other face (semi-hard), or
    where there is none the farthest of all.

    Args:
        vectors: float32 (B, size), of any length.
        people: int64 (B,).
        spec: The loss.
    """
    if not len(vectors):
        return vectors.sum()
    squares = _squared_distances(vectors)
    same, other = _pairs(people)
    anchors, positives = same.nonzero(as_tuple=True)
    kept = other.any(1)[anchors]  # where a batch shows one person alone there is no negative
    anchors, positives = anchors[kept], positives[kept]
    pulled = squares[anchors, positives]
    pushed = squares[anchors]
    allowed = other[anchors]
    farther = allowed & (pushed > pulled[:, None])
    semi_hard = pushed.masked_fill(~farther, torch.inf).min(1).values
    farthest = pushed.masked_fill(~allowed, -torch.inf).max(1).values
    negative = torch.where(farther.any(1), semi_hard, farthest)
    return _mean((pulled - negative + spec.margin).clamp(min=0))


def taught_loss(vectors: Tensor, taught: Tensor, own: Tensor) -> Tensor:
    """How far vectors are from a teacher's, and their cosines with each other from the teacher's.

    The second part is the correlation congruence of Peng et al. 2019, the first 1 - cosine.

    Args:
        vectors: float32 (B, size), brought to the teacher's number of components.
        taught: float32 (B, size), the teacher's, of unit length.
        own: float32 (B, …), the student's before that, of any length.
    """
    apart = _mean(1 - functional.cosine_similarity(vectors, taught))
    units = functional.normalize(own)
    return apart + _mean((units @ units.T - taught @ taught.T).square())


def _squared_distances(vectors: Tensor) -> Tensor:
    """Of unit vectors, (B, B)."""
    units = functional.normalize(vectors)
    return (2 - 2 * units @ units.T).clamp(min=0)


def _pairs(people: Tensor) -> tuple[Tensor, Tensor]:
    """Which pairs are two photos of one person, and which of two people, bool (B, B) each."""
    equal = people[:, None] == people[None]
    return equal & ~torch.eye(len(people), dtype=torch.bool, device=people.device), ~equal


def _entropy(logits: Tensor, people: Tensor) -> Tensor:
    return _mean(functional.cross_entropy(logits, people, reduction="none"))


def _mean(values: Tensor) -> Tensor:
    """The mean, or 0 of nothing."""
    return values.sum() / max(1, values.numel())


def loss_of(spec: EmbeddingLossSpec, *, people: int, size: int) -> PeopleLoss | None:
    """The part of a loss that has weights of its own; None if it has none."""
    if isinstance(spec, SoftmaxLossSpec | MarginLossSpec):
        return PeopleLoss(spec, people=people, size=size)
    return None
