"""Anchors: boxes of the cells of feature maps, which heads correct."""

from __future__ import annotations

import torch
from torch import Tensor

from ..model_templates.anchor_heads import AnchorsSpec
from .dense_head import grid_points
from .map_size import map_size


def level_anchors(spec: AnchorsSpec, level: int, x: Tensor) -> Tensor:
    """The anchors of a level's map (B, C, H, W), cell by cell: (H * W * A, 4), cx, cy, w, h."""
    height, width = map_size(x)
    stride = spec.strides[level]
    points = grid_points(height, width, stride, device=x.device)
    centres = points + (spec.offset - 0.5) * stride
    sizes = torch.tensor(_sides(spec, level), device=x.device)
    count = len(sizes)
    # Not len(), which the tracer does not follow.
    return torch.cat(
        (centres[:, None].expand(-1, count, -1), sizes.expand(centres.shape[0], -1, -1)), dim=-1
    ).reshape(-1, 4)


def cell_corners(spec: AnchorsSpec, level: int) -> Tensor:
    """The anchors of a cell whose centre is 0, 0: (A, 4), x1, y1, x2, y2."""
    halves = torch.tensor(_sides(spec, level)) / 2
    return torch.cat((-halves, halves), dim=1)


def image_sides(stride: int, finest: Tensor) -> Tensor:
    """Width and height of the image, (2,), from its finest map (B, C, H, W) and that's stride."""
    height, width = map_size(finest)
    if isinstance(width, Tensor) and isinstance(height, Tensor):  # of a graph that computes them
        return torch.stack((width, height)).float() * float(stride)
    # As one constant: Core ML's converter knows no stack of numbers.
    return torch.tensor([width * float(stride), height * float(stride)], device=finest.device)


def clipped(boxes: Tensor, sides: Tensor) -> Tensor:
    """Boxes (..., 4), x1, y1, x2, y2, as far as they lie in an image of `sides`."""
    return torch.minimum(boxes.clamp(min=0), sides.repeat(2))


def _sides(spec: AnchorsSpec, level: int) -> list[tuple[float, float]]:
    """Width and height of each anchor of a cell."""
    found = [
        (size / ratio**0.5, size * ratio**0.5)
        for size in spec.sizes[level]
        for ratio in spec.aspect_ratios
    ]
    if not spec.rounded:
        return found
    # Halves to even, as PyTorch rounds.
    return [(2.0 * round(width / 2), 2.0 * round(height / 2)) for width, height in found]
