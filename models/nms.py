"""NMS of proposals, as a part of the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def best_boxes(boxes: Tensor, scores: Tensor, *, iou: float) -> Tensor:
    """Which boxes no better one overlaps by more than `iou`, for each image alone.

    Args:
        boxes: (B, K, 4): x1, y1, x2, y2, best first.
        scores: (B, K), falling.
        iou: Above 0, to 1.

    Returns:
        bool (B, K); boxes without area are kept and hide none.
    """
    if torch.onnx.is_in_onnx_export():
        # A mask of fixed size, as the number of boxes that the layer gives is not fixed.
        chosen: Tensor = _InONNX.apply(boxes, scores, iou)  # type: ignore[no-untyped-call]
        count = scores.shape[1]
        places = chosen[:, 0] * count + chosen[:, 2]
        kept = torch.zeros_like(scores).flatten()
        kept = kept.scatter(0, places, torch.ones_like(places, dtype=scores.dtype))
        return kept.reshape(-1, count) > 0
    if boxes.is_meta:  # nothing is computed, so nothing can decide when the loop ends
        return torch.ones_like(scores, dtype=torch.bool)
    hides = _overlaps(boxes) > iou
    if in_torchscript():
        return _unhidden_in_turns(hides)
    return _unhidden(hides)


def in_torchscript() -> bool:
    """Whether TorchScript is being made, whose files have neither loops nor arrays of any size."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def _overlaps(boxes: Tensor) -> Tensor:
    """IoU (B, K, K) of each box with each worse one; 0 or NaN for all other pairs."""
    corners, ends = boxes[..., :2], boxes[..., 2:]
    areas = (ends - corners).prod(-1)
    low = torch.maximum(corners[:, :, None], corners[:, None])
    high = torch.minimum(ends[:, :, None], ends[:, None])
    shared = (high - low).clamp(min=0).prod(-1)
    return (shared / (areas[:, :, None] + areas[:, None] - shared)).triu(1)


def _unhidden(hides: Tensor) -> Tensor:
    """Greedy NMS for all boxes at once (Cluster NMS, Zheng et al. 2020, algorithm 2).

    What is decided of the best boxes decides the others. This takes as many turns as boxes hide
    each other in a row, which are few, and gives the same as going through them one by one.

    Args:
        hides: bool (B, K, K): whether a box would hide a worse one.

    Returns:
        bool (B, K).
    """
    before = torch.zeros_like(hides[:, 0])
    kept = torch.ones_like(before)
    while not torch.equal(before, kept):
        before = kept
        kept = ~(hides & before.unsqueeze(2)).any(1)
    return kept


def _unhidden_in_turns(hides: Tensor) -> Tensor:
    """As `_unhidden`, without a loop, which files must not have as it may never end.

    Where more than `TURNS` boxes hide each other in a row, the last of them may be wrong.
    """
    weights = hides.float()
    kept = torch.ones_like(weights[:, :1])
    for _ in range(TURNS):
        kept = (torch.matmul(kept, weights) < 0.5).float()
    return kept[:, 0] > 0.5


TURNS = 32
"""Boxes at random take ten at most."""


class _InONNX(torch.autograd.Function):
    """Stands for the layer NonMaxSuppression while a graph is traced."""

    @staticmethod
    def forward(_: Any, boxes: Tensor, scores: Tensor, iou: float) -> Tensor:  # noqa: ARG004
        return torch.zeros(1, 3, dtype=torch.int64, device=boxes.device)

    @staticmethod
    def symbolic(graph: Any, boxes: Any, scores: Any, iou: float) -> Any:
        def constant(value: Tensor) -> Any:
            return graph.op("Constant", value_t=value)

        # Of one class; the layer drops nothing by its score.
        classes = graph.op("Unsqueeze", scores, constant(torch.tensor([1])))
        most = constant(torch.tensor([torch.iinfo(torch.int32).max]))
        limit = constant(torch.tensor([iou], dtype=torch.float32))
        return graph.op("NonMaxSuppression", boxes, classes, most, limit)
