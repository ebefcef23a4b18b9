"""Match anchors or proposals with faces by IoU, and choose at random which of them learn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .boxes import paired_similarity
from .targets import Targets

_AT_ONCE = 64
"""Faces that are compared with all anchors at once; a crowd at once would take gigabytes."""


@dataclass(frozen=True, eq=False)
class Match:
    """What N boxes learn, in one image or in each of B; a box may learn nothing.

    Attributes:
        positive: bool (…, N): whether the box learns a face.
        negative: bool (…, N): whether it learns that there is none.
        face: int64 (…, N): index into `Targets.boxes` of the face that overlaps it most; of any
            meaning only where it is positive.
    """

    positive: Tensor
    negative: Tensor
    face: Tensor


def match_batch(
    targets: Targets,
    anchors: Tensor,
    *,
    batch_size: int,
    negative_iou: float,
    positive_iou: float,
) -> Match:
    """Match the same anchors with the faces of each image; every face gets its best ones.

    Args:
        targets: Faces of the batch.
        anchors: Anchors (N, 4): centre x, centre y, width, height, in pixels.
        batch_size: Number of images, B.
        negative_iou: See `match`.
        positive_iou: See `match`.

    Returns:
        Of all images, (B, N).
    """
    halves = anchors[:, 2:] / 2
    corners = torch.cat((anchors[:, :2] - halves, anchors[:, :2] + halves), dim=-1)
    found = [
        match(
            corners,
            targets,
            image,
            negative_iou=negative_iou,
            positive_iou=positive_iou,
            best_learn=True,
        )
        for image in range(batch_size)
    ]
    return stacked(found)


def stacked(matches: list[Match]) -> Match:
    """The matches of a batch's images as one."""
    return Match(
        torch.stack([one.positive for one in matches]),
        torch.stack([one.negative for one in matches]),
        torch.stack([one.face for one in matches]),
    )


@torch.no_grad()
def match(
    boxes: Tensor,
    targets: Targets,
    image: int,
    *,
    negative_iou: float,
    positive_iou: float,
    best_learn: bool,
) -> Match:
    """Match boxes with the faces of one image (Ren et al. 2015, section 3.1.2).

    It is Detectron2's `Matcher`. Beside what that does, boxes that would learn an ignored face if
    it were a face, or that are centred in one, learn nothing.

    Args:
        boxes: (N, 4): x1, y1, x2, y2, in pixels.
        targets: Faces of the batch.
        image: Which of its images.
        negative_iou: Boxes whose best IoU is below this are negative.
        positive_iou: Those from this one on are positive; those in between learn nothing.
        best_learn: Whether the boxes with a face's best IoU are positive however low it is, above
            0 (`ALLOW_LOW_QUALITY_MATCHES`). They learn the face that overlaps them most.

    Returns:
        Of the N boxes.
    """
    own = (targets.image_index == image).nonzero().squeeze(1)
    ignored = targets.ignore_boxes[targets.ignore_index == image]
    overlap, face, is_best = _overlaps(boxes, targets.boxes[own])
    positive = overlap >= positive_iou
    if best_learn:
        positive = positive | is_best
    hidden, _, is_best = _overlaps(boxes, ignored)
    hidden_by_rule = hidden >= max(negative_iou, 1e-6)
    if best_learn:
        hidden_by_rule = hidden_by_rule | is_best
    negative = (overlap < negative_iou) & ~positive & ~hidden_by_rule & ~_centred(boxes, ignored)
    return Match(positive, negative, own[face] if len(own) else face)


def _overlaps(boxes: Tensor, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each of N boxes its best IoU, with which of M faces, and whether it is a face's best."""
    best = boxes.new_zeros(len(boxes))
    face = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
    is_best = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    if not len(boxes):
        return best, face, is_best
    for start in range(0, len(faces), _AT_ONCE):
        iou = paired_similarity(boxes[None], faces[start : start + _AT_ONCE, None])  # (m, N)
        # A face without area or outside the image overlaps nothing, and cannot be encoded.
        is_best |= ((iou == iou.amax(1, keepdim=True)) & (iou > 0)).any(0)
        here, index = iou.max(0)
        better = here > best
        best = torch.where(better, here, best)
        face = torch.where(better, start + index, face)
    return best, face, is_best


def _centred(boxes: Tensor, regions: Tensor) -> Tensor:
    """Which of N boxes have their centre in one of the regions, bool (N,)."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    found = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    for start in range(0, len(regions), _AT_ONCE):
        some = regions[start : start + _AT_ONCE, None]
        found |= ((centres > some[..., :2]) & (centres < some[..., 2:])).all(-1).any(0)
    return found


def sampled(
    match: Match, *, count: int, positives: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Choose `count` boxes of each image at random (Detectron2's `subsample_labels`).

    Args:
        match: Of B images, (B, N).
        count: Number of boxes; fewer where there are fewer.
        positives: Largest share of positive ones; the others are negative.
        generator: Source of all randomness, on the device of the match.

    Returns:
        Which positive and which negative ones are chosen, bool (B, N) each.
    """
    limit = int(count * positives)
    positive = _some(match.positive, limit, generator)
    negative = _some(match.negative, count, generator, fewer=positive.sum(1))
    return positive, negative


def _some(
    candidate: Tensor, limit: int, generator: torch.Generator, fewer: Tensor | int = 0
) -> Tensor:
    """At most `limit` of the candidates (B, N) of each image, less `fewer` (B,)."""
    keys = torch.rand(candidate.shape, generator=generator, device=candidate.device)
    keys = keys.masked_fill(~candidate, -1.0)
    best = keys.topk(min(limit, candidate.shape[1]), dim=1)
    rank = torch.arange(best.values.shape[1], device=candidate.device).expand_as(best.values)
    chosen = (rank.mT < limit - fewer).mT & (best.values >= 0)
    return torch.zeros_like(candidate).scatter(1, best.indices, chosen)


def generator_for(device: torch.device, *, seed: int) -> torch.Generator:
    """Random numbers that follow from the seed of a step; see `tasks.learning.Learner`."""
    return torch.Generator(device=device).manual_seed(seed)
