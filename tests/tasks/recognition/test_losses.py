"""The losses of embeddings, by their definitions."""

from __future__ import annotations

import math

import pytest
import torch

from pocketface.model_templates.embedding_head import (
    ContrastiveLossSpec,
    MarginLossSpec,
    SoftmaxLossSpec,
    TripletLossSpec,
)
from pocketface.tasks.recognition.embedding_loss import (
    PeopleLoss,
    contrastive_loss,
    taught_loss,
    triplet_loss,
)


def at(*degrees: float) -> torch.Tensor:
    """Vectors in the plane, of different lengths."""
    angles = torch.tensor(degrees).deg2rad()
    lengths = torch.arange(1.0, len(degrees) + 1)[:, None]
    return lengths * torch.stack([angles.cos(), angles.sin()], dim=1)


def people_loss(spec: MarginLossSpec | SoftmaxLossSpec, *directions: float) -> PeopleLoss:
    loss = PeopleLoss(spec, people=len(directions), size=2)
    with torch.no_grad():
        loss.weight.copy_(at(*directions))
    return loss


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("arcface", math.cos(math.radians(30) + 0.3)),
        ("cosface", math.cos(math.radians(30)) - 0.3),
    ],
)
def test_margin_makes_the_own_cosine_smaller(kind: str, own: float) -> None:
    spec = MarginLossSpec.model_validate({"type": kind, "scale": 8, "margin": 0.3})
    found = people_loss(spec, 0, 90)(at(30), torch.tensor([0]), progress=0)
    logits = 8 * torch.tensor([own, math.cos(math.radians(60))])
    assert found.item() == pytest.approx((-logits.log_softmax(0)[0]).item(), abs=1e-5)


@pytest.mark.parametrize(("progress", "margin"), [(0.0, 0.0), (0.1, 0.2), (0.2, 0.4), (1.0, 0.4)])
def test_margin_rises_while_it_warms_up(progress: float, margin: float) -> None:
    warm = MarginLossSpec(type="arcface", scale=8, margin=0.4, warmup=0.2)
    whole = MarginLossSpec(type="arcface", scale=8, margin=margin)
    losses = [
        people_loss(spec, 0, 90)(at(30), torch.tensor([0]), progress=progress)
        for spec in (warm, whole)
    ]
    assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-6)


def test_arcface_rises_up_to_the_opposite_side() -> None:
    spec = MarginLossSpec(type="arcface", scale=8, margin=0.5)
    loss = PeopleLoss(spec, people=2, size=3)
    with torch.no_grad():
        loss.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 0, 1]]))
    found = [
        loss(torch.cat([at(angle), torch.zeros(1, 1)], 1), torch.tensor([0]), progress=1).item()
        for angle in (0, 30, 90, 140, 152, 160, 170, 179)
    ]
    assert found == sorted(found)


def test_softmax_is_a_dense_layer() -> None:
    loss = people_loss(SoftmaxLossSpec(type="softmax"), 0, 90)
    vectors = at(10, 80)
    found = loss(vectors, torch.tensor([0, 1]), progress=0)
    wanted = torch.nn.functional.cross_entropy(
        vectors @ loss.weight.T.detach(), torch.tensor([0, 1])
    )
    assert found.item() == pytest.approx(wanted.item())


def test_contrastive_loss_by_hand() -> None:
    spec = ContrastiveLossSpec(type="contrastive", margin=1.0)
    # One pair of a person at 60 degrees (distance 1); a stranger at 30 from one and 90 from one.
    found = contrastive_loss(at(0, 60, 90), torch.tensor([5, 5, 7]), spec)
    near = 1.0
    distances = [math.sqrt(2), math.sqrt(2 - 2 * math.cos(math.radians(30)))]
    far = sum(max(0.0, 1 - one) ** 2 for one in distances) / 2
    assert found.item() == pytest.approx(near / 2 + far / 2, abs=1e-4)


def test_contrastive_pairs_weigh_the_same_however_many_there_are() -> None:
    spec = ContrastiveLossSpec(type="contrastive", margin=2.0)
    few = contrastive_loss(at(0, 60, 90), torch.tensor([0, 0, 1]), spec)
    many = contrastive_loss(at(0, 60, 90, 90, 90), torch.tensor([0, 0, 1, 2, 3]), spec)
    # The strangers' pairs with each other are at distance 0, the worst: only they add.
    assert many > few


@pytest.mark.parametrize(
    ("strangers", "negative"),
    [
        ((50.0, 100.0), 50.0),  # of those farther than the positive the nearest
        ((10.0, 20.0), 20.0),  # none is farther: the farthest
        ((10.0, 35.0), 35.0),  # the nearest of all is not semi-hard
    ],
)
def test_triplets_take_semi_hard_negatives(strangers: tuple[float, float], negative: float) -> None:
    spec = TripletLossSpec(type="triplet", margin=0.2)

    def square(degrees: float) -> float:
        return 2 - 2 * math.cos(math.radians(degrees))

    # The two photos of the person are 30 degrees apart, on both sides of the anchor's direction.
    vectors = at(0, -30, *strangers)
    found = triplet_loss(vectors, torch.tensor([0, 0, 1, 2]), spec)
    first = max(0.0, square(30) - square(negative) + 0.2)
    from_other = sorted(square(30 + one) for one in strangers)
    farther = [one for one in from_other if one > square(30)]
    second = max(0.0, square(30) - (farther[0] if farther else from_other[-1]) + 0.2)
    assert found.item() == pytest.approx((first + second) / 2, abs=1e-5)


def test_batches_of_one_person_have_no_triplet() -> None:
    spec = TripletLossSpec(type="triplet")
    assert triplet_loss(at(0, 10), torch.tensor([3, 3]), spec).item() == 0
    assert triplet_loss(at(), torch.tensor([], dtype=torch.int64), spec).item() == 0


def test_a_teacher_is_met_where_vectors_point_as_its_do() -> None:
    units = torch.nn.functional.normalize(at(0, 40, 90))
    assert taught_loss(at(0, 40, 90), units, at(0, 40, 90)).item() == pytest.approx(0, abs=1e-6)
    turned = taught_loss(at(10, 50, 100), units, at(10, 50, 100))
    assert turned.item() == pytest.approx(1 - math.cos(math.radians(10)), abs=1e-5)
    # The same directions, but for one pair's cosine, which is 0 with the teacher.
    bent = taught_loss(units, units, at(0, 40, 60))
    pairs = [(40, 40), (90, 60), (50, 20)]
    wanted = 2 * sum(
        (math.cos(math.radians(one)) - math.cos(math.radians(other))) ** 2 for one, other in pairs
    )
    assert bent.item() == pytest.approx(wanted / 9, abs=1e-5)
