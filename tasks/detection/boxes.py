"""Overlap of paired boxes (x1, y1, x2, y2)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

BoxSimilarity = Literal["iou", "giou", "diou", "eiou"]


def paired_similarity(first: Tensor, second: Tensor, *, kind: BoxSimilarity = "iou") -> Tensor:
    """IoU, generalized (Rezatofighi 2019), distance (Zheng 2019) or efficient IoU of each pair.

    Args:
        first: Boxes (..., 4).
        second: Boxes (..., 4), broadcastable to `first`.
        kind: `iou` is 0 to 1; `giou` and `diou` are -1 to 1; `eiou` (Zhang 2021), which also
            compares widths and heights, is -3 to 1.

    Returns:
        The similarities (...), differentiable; a box without area has IoU 0.
    """
    inner = (
        torch.minimum(first[..., 2:], second[..., 2:])
        - torch.maximum(first[..., :2], second[..., :2])
    ).clamp(min=0)
    intersection = inner.prod(-1)
    area_first = (first[..., 2:] - first[..., :2]).clamp(min=0).prod(-1)
    area_second = (second[..., 2:] - second[..., :2]).clamp(min=0).prod(-1)
    union = (area_first + area_second - intersection).clamp(min=1e-6)
    iou = intersection / union
    if kind == "iou":
        return iou
    hull = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(
        first[..., :2], second[..., :2]
    )
    if kind == "giou":
        hull_area = hull.clamp(min=0).prod(-1).clamp(min=1e-6)
        return iou - (hull_area - union) / hull_area
    centres = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2
    distance = iou - centres.square().sum(-1) / hull.square().sum(-1).clamp(min=1e-6)
    if kind == "diou":
        return distance
    sides = first[..., 2:] - first[..., :2] - second[..., 2:] + second[..., :2]
    return distance - (sides.square() / hull.square().clamp(min=1e-6)).sum(-1)
