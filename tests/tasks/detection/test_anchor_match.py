"""Which anchors learn what, and which of them are drawn, worked out by hand."""

from __future__ import annotations

import pytest
import torch

from pocketface.tasks.detection.anchor_match import (
    Match,
    generator_for,
    match,
    match_batch,
    sampled,
)
from pocketface.tasks.detection.targets import Targets

from .some_targets import targets

# Five squares of 20 px in a row, 10 px apart: neighbours have an IoU of 1/3.
BOXES = torch.tensor([[10.0 * i, 0.0, 10.0 * i + 20, 20.0] for i in range(5)])


def learns(faces: Targets, *, image: int = 0, best_learn: bool = True) -> str:
    """Of each box + (a face), - (none), or . (nothing)."""
    got = match(BOXES, faces, image, negative_iou=0.3, positive_iou=0.7, best_learn=best_learn)
    assert not (got.positive & got.negative).any()
    return "".join(
        "+" if positive else "-" if negative else "."
        for positive, negative in zip(got.positive, got.negative, strict=True)
    )


@pytest.mark.parametrize(
    ("face", "with_best", "without"),
    [
        ([0.0, 0.0, 20.0, 20.0], "+.---", "+.---"),  # IoU 1, 1/3, 0
        ([6.0, 0.0, 26.0, 20.0], ".+---", "..---"),  # 14/26 = .54, 16/24 = .67
        ([5.0, 0.0, 25.0, 20.0], "++---", "..---"),  # .6 both: equally good
        ([42.0, 5.0, 46.0, 9.0], "---++", "-----"),  # .04 both, of a tiny face
        ([90.0, 0.0, 99.0, 9.0], "-----", "-----"),  # outside
        ([30.0, 5.0, 30.0, 9.0], "-----", "-----"),  # without area
    ],
)
def test_what_a_box_learns(face: list[float], with_best: str, without: str) -> None:
    assert learns(targets([face])) == with_best
    assert learns(targets([face]), best_learn=False) == without


def test_a_box_learns_the_face_that_overlaps_it_most() -> None:
    small, large = [42.0, 5.0, 46.0, 9.0], [40.0, 0.0, 60.0, 20.0]
    got = match(
        BOXES, targets([small, large]), 0, negative_iou=0.3, positive_iou=0.7, best_learn=True
    )
    # The small face's best boxes are those of the other: it is learnt by the first, by 1/25
    # against the large one's 1/3, no more than in Detectron2.
    assert got.positive.tolist() == [False, False, False, True, True]
    assert got.face[3:].tolist() == [1, 1]


def test_images_are_matched_apart() -> None:
    faces = targets([[0.0, 0.0, 20.0, 20.0], [40.0, 0.0, 60.0, 20.0]], [0, 1])
    assert learns(faces, image=0) == "+.---"
    assert learns(faces, image=1) == "---.+"
    centred = torch.cat(((BOXES[:, :2] + BOXES[:, 2:]) / 2, BOXES[:, 2:] - BOXES[:, :2]), 1)
    both = match_batch(faces, centred, batch_size=2, negative_iou=0.3, positive_iou=0.7)
    assert both.positive.nonzero().tolist() == [[0, 0], [1, 4]]
    assert both.face[both.positive].tolist() == [0, 1]


def test_many_faces_are_matched_as_one_by_one() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(300, 2, generator=generator) * 100
    boxes = torch.cat((corners, corners + 5 + torch.rand(300, 2, generator=generator) * 30), 1)
    faces = targets(boxes[:150].flip(0).tolist())
    got = match(boxes, faces, 0, negative_iou=0.3, positive_iou=0.5, best_learn=False)
    iou = torch.stack(
        [
            match(
                boxes, targets([face]), 0, negative_iou=0.3, positive_iou=0.5, best_learn=False
            ).positive
            for face in faces.boxes.tolist()
        ]
    )
    assert torch.equal(got.positive, iou.any(0))
    assert iou[got.face[got.positive], got.positive.nonzero().squeeze(1)].all()


@pytest.mark.parametrize(
    ("ignored", "expected"),
    [
        ([[40.0, 0.0, 60.0, 20.0]], "+.-.."),  # as if it were a face
        ([[42.0, 5.0, 46.0, 9.0]], "+.-.."),  # tiny: its best boxes
        ([[25.0, 0.0, 200.0, 90.0]], "+...."),  # a crowd, in which the boxes are centred
        ([[0.0, 0.0, 20.0, 20.0]], "+.---"),  # a box with a face learns it all the same
    ],
)
def test_ignored_faces_are_no_background(ignored: list[list[float]], expected: str) -> None:
    assert learns(targets([[0.0, 0.0, 20.0, 20.0]], ignore=ignored)) == expected


def test_without_boxes_or_faces() -> None:
    assert learns(targets([])) == "-----"
    nothing = match(
        BOXES[:0], targets([[0.0, 0.0, 9.0, 9.0]]), 0, negative_iou=0.5, positive_iou=0.5,
        best_learn=False,
    )  # fmt: skip
    assert len(nothing.positive) == 0


def test_boxes_are_drawn_by_the_seed() -> None:
    positive = torch.zeros(2, 100, dtype=torch.bool)
    positive[0, :40] = True
    positive[1, :3] = True
    negative = torch.zeros_like(positive)
    negative[:, 50:] = True
    whole = Match(positive, negative, torch.zeros(2, 100, dtype=torch.int64))

    def drawn(seed: int, count: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
        generator = generator_for(torch.device("cpu"), seed=seed)
        return sampled(whole, count=count, positives=0.5, generator=generator)

    first = drawn(1)
    # Half of them with a face, or all that there are; the others fill up.
    assert [part.sum(1).tolist() for part in first] == [[10, 3], [10, 17]]
    assert (first[0] <= positive).all()
    assert (first[1] <= negative).all()
    assert all(torch.equal(*pair) for pair in zip(first, drawn(1), strict=True))
    assert not torch.equal(first[1], drawn(2)[1])
    # All of the boxes are drawn at times, the last as often as the first.
    counts = torch.stack([drawn(seed)[0][0] for seed in range(200)]).sum(0)[:40]
    assert counts.min() > 25
    assert counts.max() < 75
    # More than there are.
    assert [part.sum(1).tolist() for part in drawn(1, 1000)] == [[40, 3], [50, 50]]
