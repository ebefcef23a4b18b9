"""Which cells of a dense head learn which face."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .boxes import paired_similarity
from .targets import Targets


@dataclass(frozen=True, eq=False)
class Assignment:
    """Positive cells of a batch of B samples with N cells each.

    Attributes:
        positive: int64 (P,): indices into the flattened (B * N) cells, each at most once.
        target: int64 (P,): indices into `Targets.boxes`.
        weight: float32 (B, N): 0 where a cell touches an ignored region and is not positive.
    """

    positive: Tensor
    target: Tensor
    weight: Tensor


def atss(
    targets: Targets,
    *,
    points: Tensor,
    strides: Tensor,
    level_sizes: tuple[int, ...],
    batch_size: int,
    anchor_scale: float,
    top_k: int,
) -> Assignment:
    """Adaptive training sample selection (Zhang et al. 2020, algorithm 1), one anchor a cell.

    A face that no cell centre falls into, as faces smaller than a stride are, takes its best
    candidate all the same: the paper leaves such faces unassigned.

    Args:
        targets: Faces of the batch.
        points: (N, 2) cell centres, pixels.
        strides: (N,).
        level_sizes: Cells per level; sums to N.
        batch_size: B.
        anchor_scale: Side of the square anchor, in strides.
        top_k: Candidates per level and face.
    """
    boxes = targets.boxes
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    candidates = []
    start = 0
    for size in level_sizes:
        distance = torch.cdist(centres, points[start : start + size])
        nearest = distance.topk(min(top_k, size), dim=1, largest=False).indices
        candidates.append(nearest + start)
        start += size
    cells = torch.cat(candidates, dim=1)  # (T, K)
    half = strides[cells][..., None] * (anchor_scale / 2)
    anchors = torch.cat((points[cells] - half, points[cells] + half), dim=-1)
    iou = paired_similarity(anchors, boxes[:, None])
    mean = iou.mean(1, keepdim=True)
    # Not `std`, which warns of a batch without faces and is NaN for a single candidate.
    variance = (iou - mean).square().sum(1, keepdim=True) / max(iou.shape[1] - 1, 1)
    threshold = mean + variance.sqrt()
    inside = _inside(points[cells], boxes[:, None])
    chosen = (iou >= threshold) & inside
    orphan = ~chosen.any(1)
    chosen[orphan, iou[orphan].argmax(1)] = True
    face, column = chosen.nonzero(as_tuple=True)
    return resolve(
        targets,
        points=points,
        batch_size=batch_size,
        face=face,
        cell=cells[face, column],
        priority=iou[face, column],
        strides=strides,
    )


def center_sampling(
    targets: Targets,
    *,
    points: Tensor,
    strides: Tensor,
    level_sizes: tuple[int, ...],
    batch_size: int,
    radius: float = 1.5,
    first_range: float = 64.0,
) -> Assignment:
    """FCOS (Tian et al. 2019): cells near a face's centre, on the level made for its size.

    A cell belongs to a face if it lies inside it, within `radius` strides of its centre, and its
    farthest side falls into the level's range: (0, 64], (64, 128], ... doubling, the last open.
    Of several faces the smallest wins.
    """
    boxes = targets.boxes
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    level = torch.repeat_interleave(
        torch.arange(len(level_sizes), device=points.device),
        torch.tensor(level_sizes, device=points.device),
    )
    lower = torch.where(level == 0, 0.0, first_range * 2.0 ** (level - 1))
    upper = torch.where(level == len(level_sizes) - 1, torch.inf, first_range * 2.0**level)
    reach = torch.cat((points[None] - boxes[:, None, :2], boxes[:, None, 2:] - points[None]), -1)
    farthest = reach.amax(-1)
    near = (points[None] - centres[:, None]).abs().amax(-1) < radius * strides
    chosen = (reach.amin(-1) > 0) & near & (farthest > lower) & (farthest <= upper)
    face, cell = chosen.nonzero(as_tuple=True)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return resolve(
        targets,
        points=points,
        batch_size=batch_size,
        face=face,
        cell=cell,
        priority=-area[face],
        strides=strides,
    )


def resolve(
    targets: Targets,
    *,
    points: Tensor,
    batch_size: int,
    face: Tensor,
    cell: Tensor,
    priority: Tensor,
    strides: Tensor | None = None,
) -> Assignment:
    """One face per cell: of several claims the one of highest priority, then the first.

    With `strides` (N,), every cell that an ignored box touches is left out of the loss, else only
    those whose centre lies in it: small ignored faces rarely hold a centre.
    """
    count = len(points)
    flat = targets.image_index[face] * count + cell
    order = torch.argsort(priority, descending=True, stable=True)
    order = order[torch.argsort(flat[order], stable=True)]
    claimed = flat[order]
    first = torch.ones_like(claimed, dtype=torch.bool)
    first[1:] = claimed[1:] != claimed[:-1]
    positive, target = claimed[first], face[order][first]

    weight = torch.ones(batch_size, count, device=points.device)
    for index in set(targets.ignore_index.tolist()):
        regions = targets.ignore_boxes[targets.ignore_index == index]
        if strides is None:
            left_out = _inside(points[:, None], regions).any(1)
        else:
            half = strides[:, None, None] / 2
            grown = torch.cat((regions[:, :2] - half, regions[:, 2:] + half), dim=-1)
            left_out = _inside(points[:, None], grown).any(1)
        weight[index, left_out] = 0.0
    weight.view(-1)[positive] = 1.0
    return Assignment(positive=positive, target=target, weight=weight)


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    return ((points > boxes[..., :2]) & (points < boxes[..., 2:])).all(-1)
