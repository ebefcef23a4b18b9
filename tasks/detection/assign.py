"""Assign the cells of a head to the faces that they learn.

Every assigner makes `Claims`: the cells that each box would take if it were alone. `resolve`
settles conflicts. Ignored boxes claim by the same rule, and their cells are not background.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ...models.dense_head import DensePredictions
from .boxes import paired_similarity
from .targets import Targets

REACH = 1.5
"""Largest distance, in strides, of a small face's cells from its centre; FCOS's radius."""


@dataclass(frozen=True, eq=False)
class Claims:
    """Cells that M boxes claim: the T faces of a batch, then its I ignored boxes.

    Attributes:
        cells: int64 (M, K): candidates, as indices into a head's N cells, each once in a row.
        chosen: bool (M, K): whether the box claims the cell, by its centre or overlap.
        preference: float32 (M, K): a box's order of its cells; it always claims the best. -inf if
            the box can never have the cell.
        priority: float32 (M, K): of the boxes that claim a cell, the one with the highest gets it.
    """

    cells: Tensor
    chosen: Tensor
    preference: Tensor
    priority: Tensor


@dataclass(frozen=True, eq=False)
class Assignment:
    """Positive cells of a batch of B samples with N cells each.

    Attributes:
        positive: int64 (P,): indices into the flattened (B * N) cells, unique and increasing.
        target: int64 (P,): indices into `Targets.boxes`.
        weight: float32 (B, N): 0 for cells of ignored boxes that no face has, else 1.
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
    min_cells: int = 1,
) -> Assignment:
    """Adaptive training sample selection (Zhang et al. 2020, algorithm 1), one anchor per cell.

    The paper takes only cells inside a face, so that faces of about a stride or less get few or
    none. Here a face with fewer than `min_cells` also takes the `min_cells` nearest ones within
    `REACH` strides, on the level of its best candidate, if no other face has them by the rule.

    Args:
        targets: Faces of the batch.
        points: Cell centres (N, 2), in pixels.
        strides: Stride of each cell (N,), in pixels.
        level_sizes: Number of cells of each level; the sum is N.
        batch_size: Number of samples, B.
        anchor_scale: Side of the square anchor, in strides.
        top_k: Number of candidates per level and face.
        min_cells: Number of cells of a small face, at most `top_k`; 1 follows the paper except
            for faces without a cell.
    """
    boxes = torch.cat((targets.boxes, targets.ignore_boxes))
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    candidates, distances, levels, ranks = [], [], [], []
    start = 0
    for level, size in enumerate(level_sizes):
        nearest = torch.cdist(centres, points[start : start + size]).topk(
            min(top_k, size), dim=1, largest=False
        )
        candidates.append(nearest.indices + start)
        distances.append(nearest.values)
        ranks.append(torch.arange(nearest.indices.shape[1], device=points.device))
        levels.append(torch.full_like(ranks[-1], level))
        start += size
    cells = torch.cat(candidates, dim=1)  # (M, K)
    level_of, rank = torch.cat(levels), torch.cat(ranks)  # (K,)
    distance = torch.cat(distances, dim=1) / strides[cells]
    half = strides[cells][..., None] * (anchor_scale / 2)
    anchors = torch.cat((points[cells] - half, points[cells] + half), dim=-1)
    iou = paired_similarity(anchors, boxes[:, None])
    mean = iou.mean(1, keepdim=True)
    # Not `std`, which warns for a batch without faces and is NaN for a single candidate.
    variance = (iou - mean).square().sum(1, keepdim=True) / max(iou.shape[1] - 1, 1)
    by_rule = (iou >= mean + variance.sqrt()) & _inside(points[cells], boxes[:, None])
    # All anchors that hold a tiny face have the same IoU with it, so the nearest one is best.
    preference = by_rule + iou - 1e-4 * distance
    best_level = level_of[preference.argmax(1)]
    few = by_rule.sum(1) < min_cells
    near = (level_of == best_level[:, None]) & (rank < min_cells) & (distance < REACH)
    claims = Claims(
        cells=cells,
        chosen=by_rule | (few[:, None] & near),
        preference=preference,
        priority=torch.where(by_rule, 1 + iou, -distance),
    )
    return resolve(targets, claims, points=points, batch_size=batch_size, strides=strides)


def center_sampling(
    targets: Targets,
    *,
    points: Tensor,
    strides: Tensor,
    level_sizes: tuple[int, ...],
    batch_size: int,
    radius: float = REACH,
    first_range: float = 64.0,
) -> Assignment:
    """FCOS (Tian et al. 2019): cells near a face's centre, on the level made for its size.

    A cell belongs to a face if it lies inside it, within `radius` strides of its centre, and its
    farthest side is in the level's range: (0, first], (first, 2 first], ... doubling, the last
    one open. Of several faces the smallest wins. A face without such a cell takes the nearest one
    on the level made for its size; in the paper it has none.
    """
    boxes = torch.cat((targets.boxes, targets.ignore_boxes))
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    sizes = boxes[:, 2:] - boxes[:, :2]
    level = torch.repeat_interleave(
        torch.arange(len(level_sizes), device=points.device),
        torch.tensor(level_sizes, device=points.device),
    )
    lower = torch.where(level == 0, 0.0, first_range * 2.0 ** (level - 1))
    upper = torch.where(level == len(level_sizes) - 1, torch.inf, first_range * 2.0**level)
    reach = torch.cat((points[None] - boxes[:, None, :2], boxes[:, None, 2:] - points[None]), -1)
    farthest = reach.amax(-1)
    distance = (points[None] - centres[:, None]).abs().amax(-1) / strides
    chosen = (reach.amin(-1) > 0) & (distance < radius) & (farthest > lower) & (farthest <= upper)
    # A cell's farthest side is at least half the box away.
    own = (sizes.amax(-1) / (2 * first_range)).clamp(min=1.0).log2().ceil()
    own = own.clamp(max=len(level_sizes) - 1)
    elsewhere = 1e3 * (1 + (level - own[:, None]).abs())
    claims = Claims(
        cells=torch.arange(len(points), device=points.device).expand(len(boxes), -1),
        chosen=chosen,
        preference=-distance - elsewhere.masked_fill(chosen, 0.0),
        priority=-sizes.prod(-1)[:, None].expand(-1, len(points)),
    )
    return resolve(targets, claims, points=points, batch_size=batch_size, strides=strides)


def simota(
    targets: Targets, predictions: DensePredictions, *, radius: float = REACH, top_k: int = 10
) -> Assignment:
    """YOLOX's simplified optimal transport (Ge et al. 2021): the cells with the lowest cost.

    A cell may learn a face whose box it lies in, or whose centre is within `radius` strides. Its
    cost is its class loss plus 3 times -log(IoU) of its predicted box; cells that do not meet
    both conditions come last. The number of a face's cells is the sum of the IoUs of its `top_k`
    best boxes, rounded down, at least one. Of several faces, the one with the lowest cost gets
    the cell.

    Args:
        targets: Faces of the batch.
        predictions: The network's current predictions.
        radius: Radius in strides; the paper's 2.5 would give tiny faces a centre-ness of 0.
        top_k: Most cells of a face.
    """
    boxes = torch.cat((targets.boxes, targets.ignore_boxes))[:, None]
    index = torch.cat((targets.image_index, targets.ignore_index))
    points, strides = predictions.points, predictions.strides
    with torch.no_grad():
        iou = paired_similarity(predictions.boxes().float()[index], boxes)  # (M, N)
        cost = functional.softplus(-predictions.class_logits.float())[index]
        cost = cost - 3 * iou.clamp(min=1e-8).log()
    inside = _inside(points, boxes)
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    near = (points - centres).abs().amax(-1) < radius * strides
    cost = cost + 1e5 * ~(inside & near)
    preference = (-cost).masked_fill(~(inside | near), -torch.inf)
    overlaps = iou.masked_fill(~(inside | near), 0.0).topk(min(top_k, len(points)), dim=1).values
    wanted = overlaps.sum(1, keepdim=True).int().clamp(min=1)
    # More than it may take, because in a crowd other faces get the best ones.
    best = preference.topk(min(8 * top_k, len(points)), dim=1)
    rank = torch.arange(best.indices.shape[1], device=points.device)
    claims = Claims(
        cells=best.indices,
        chosen=(rank < wanted) & best.values.isfinite(),
        preference=best.values,
        priority=best.values,
    )
    return resolve(
        targets,
        claims,
        points=points,
        batch_size=len(predictions.class_logits),
        strides=strides,
    )


def resolve(
    targets: Targets,
    claims: Claims,
    *,
    points: Tensor,
    batch_size: int,
    strides: Tensor | None = None,
) -> Assignment:
    """Give each cell at most one face, and each face at least one cell.

    First each face gets its best free cell (in rounds, as in SSD's bipartite matching); a face
    gets none only if no candidate is left. Then the claims on the other cells are settled by
    priority.

    The cells that ignored boxes claim, or whose centres lie in them, are left out of the loss; with
    `strides` (N,) all cells that these boxes touch are.
    """
    count, faces = len(points), len(targets.boxes)
    index = torch.cat((targets.image_index, targets.ignore_index))
    flat = index[:, None] * count + claims.cells
    owner = torch.full((batch_size * count,), -1, device=points.device)

    waiting = torch.arange(faces, device=points.device)
    wish = claims.preference[:faces]
    while len(waiting):
        best, column = wish.max(1)
        able = best > -torch.inf
        waiting, wish, column = waiting[able], wish[able], column[able]
        cell = flat[waiting, column]
        won = _first_of_each(cell, claims.priority[waiting, column])
        owner[cell[won]] = waiting[won]
        lost = torch.ones_like(waiting, dtype=torch.bool).index_fill(0, won, False)
        waiting, wish = waiting[lost], wish[lost]
        wish = wish.masked_fill(owner[flat[waiting]] >= 0, -torch.inf)

    face, column = (claims.chosen[:faces] & (owner[flat[:faces]] < 0)).nonzero(as_tuple=True)
    cell = flat[face, column]
    won = _first_of_each(cell, claims.priority[face, column])
    owner[cell[won]] = face[won]
    positive = (owner >= 0).nonzero().squeeze(1)

    weight = torch.ones(batch_size * count, device=points.device)
    weight[flat[faces:][claims.chosen[faces:]]] = 0.0
    best, column = claims.preference[faces:].max(1)
    own = flat[faces:].gather(1, column[:, None]).squeeze(1)
    weight[own[best > -torch.inf]] = 0.0
    regions = targets.ignore_boxes[:, None]
    if strides is not None:
        half = strides[:, None] / 2
        regions = torch.cat((regions[..., :2] - half, regions[..., 2:] + half), dim=-1)
    box, cell = _inside(points, regions).nonzero(as_tuple=True)
    weight[targets.ignore_index[box] * count + cell] = 0.0
    weight[positive] = 1.0
    return Assignment(positive, owner[positive], weight.view(batch_size, count))


def _first_of_each(cell: Tensor, priority: Tensor) -> Tensor:
    """Index of each distinct cell's claim with the highest priority, the first of equal ones."""
    order = torch.argsort(priority, descending=True, stable=True)
    order = order[torch.argsort(cell[order], stable=True)]
    claimed = cell[order]
    first = torch.ones_like(claimed, dtype=torch.bool)
    first[1:] = claimed[1:] != claimed[:-1]
    return order[first]


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    return ((points > boxes[..., :2]) & (points < boxes[..., 2:])).all(-1)
