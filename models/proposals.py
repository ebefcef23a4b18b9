"""Boxes of a first stage that a second one looks at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..model_templates.anchor_heads import ProposalsSpec
from .nms import best_boxes


@dataclass(frozen=True, eq=False)
class Proposals:
    """Boxes that the second stage looks at.

    Attributes:
        boxes: (B, R, 4): x1, y1, x2, y2 in network-input pixels, inside the image.
        valid: bool (B, R): false where an image has fewer than R; such boxes are zeros.
    """

    boxes: Tensor
    valid: Tensor


_LEAST = -1e4
"""A logit below all that networks give; FP16 still has it."""


def best_scores(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best scores (B, count), falling, and their places (B, count) in `scores` (B, N).

    Filled up, as a level may have fewer boxes, which depends on the image's size: `at` gives zeros
    in such places.
    """
    return filled(scores.float(), count, _LEAST).topk(count)


def at(x: Tensor, places: Tensor) -> Tensor:
    """Rows (B, count, C) of an array (B, N, C); see `best_scores`."""
    return rows(filled(x.float(), places.shape[1], 0.0), places)


def rows(x: Tensor, places: Tensor) -> Tensor:
    """Rows (B, count, C) of an array (B, N, C) at `places` (B, count)."""
    return x.gather(1, places[..., None].expand(-1, -1, x.shape[-1]))


def unhidden(
    boxes: Tensor, logits: Tensor, spec: ProposalsSpec, *, training: bool
) -> tuple[Tensor, Tensor]:
    """Boxes (B, K, 4) of falling log-odds (B, K), and which of them stay: bool (B, K).

    Those of too small sides have no area, so that they hide no other in NMS. In training, those of
    low scores stay, as they teach what is no face.
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    large = (sides > spec.min_size).all(-1)
    boxes = boxes * large[..., None]
    kept = large & best_boxes(boxes, logits, iou=spec.nms_threshold)
    if spec.min_score and not training:
        kept = kept & (logits > math.log(spec.min_score / (1 - spec.min_score)))
    return boxes, kept


def best_proposals(
    boxes: Tensor, scores: Tensor, kept: Tensor, count: int
) -> tuple[Proposals, Tensor]:
    """The best boxes of those that are kept, and their places (B, count) among all.

    Their number is fixed, as an image with fewer gets boxes without area, so that batches,
    contracts and compilers know all shapes.
    """
    ranked = torch.where(kept, scores, torch.full_like(scores, _LEAST))
    places = ranked.topk(count).indices
    valid = kept.gather(1, places)
    return Proposals(rows(boxes, places) * valid[..., None], valid), places


def filled(x: Tensor, count: int, value: float) -> Tensor:
    """An array (B, N, ...) with `count` more rows of a value."""
    more = torch.full_like(x[:, :1], value)
    return torch.cat((x, more.repeat(1, count, *[1] * (x.dim() - 2))), dim=1)
