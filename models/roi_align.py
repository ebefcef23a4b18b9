"""RoIAlign (He et al. 2017, https://arxiv.org/abs/1703.06870) over the maps of a pyramid."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..model_templates.anchor_heads import RoIHeadSpec
from .map_size import map_size


def roi_align(maps: list[Tensor], strides: list[int], rois: Tensor, spec: RoIHeadSpec) -> Tensor:
    """Crops of feature maps.

    Args:
        maps: (B, C, H, W) each, finest first.
        strides: Theirs, in pixels of the image.
        rois: (B, R, 4): x1, y1, x2, y2 in pixels of the image.
        spec: `levels` maps are used; which of them for a box, follows from its size.

    Returns:
        (B * R, C, resolution, resolution).
    """
    maps, strides = maps[: spec.levels], strides[: spec.levels]
    levels = assigned_levels(rois, strides, spec).flatten()
    # A number for each box: that of its image.
    images = torch.arange(rois.shape[0], device=rois.device)[:, None].expand(rois.shape[:2])
    images, boxes = images.flatten(), rois.reshape(-1, 4)
    if torch.onnx.is_in_onnx_export():
        return _by_layers(maps, strides, boxes, levels, images, spec)
    if rois.is_meta:  # how many points are averaged follows from the boxes
        size = spec.resolution
        return maps[0].new_empty((boxes.shape[0], maps[0].shape[1], size, size))
    return _by_rows(maps, strides, boxes, levels, images, spec)


def assigned_levels(rois: Tensor, strides: list[int], spec: RoIHeadSpec) -> Tensor:
    """The map of each box: int64 (...), 0 for the finest (Lin et al. 2017, equation 1)."""
    finest = strides[0].bit_length() - 1
    sides = (rois[..., 2:] - rois[..., :2]).clamp(min=0).prod(-1).sqrt()
    # The small number keeps boxes of exactly twice the size from falling one level lower.
    level = spec.canonical_level + torch.log2(sides / spec.canonical_size + 1e-8)
    return (torch.floor(level + 1e-6) - finest).clamp(0, len(strides) - 1).long()


def _by_rows(
    maps: list[Tensor],
    strides: list[int],
    boxes: Tensor,
    levels: Tensor,
    images: Tensor,
    spec: RoIHeadSpec,
) -> Tensor:
    """Each cell of each crop as a weighted sum of rows of one table: all cells of all maps."""
    sizes = [
        torch.stack([torch.as_tensor(side, device=boxes.device) for side in map_size(x)])
        for x in maps
    ]
    table = torch.cat([x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]) for x in maps])
    counts = torch.stack([height * width for height, width in sizes]) * maps[0].shape[0]
    extents = torch.stack(sizes)[levels]
    height, width = extents.unbind(1)
    first = (counts.cumsum(0) - counts)[levels] + images * height * width
    scaled = boxes / torch.tensor(strides, device=boxes.device)[levels][:, None]
    start = scaled[:, [1, 0]] - 0.5 * spec.aligned
    cells = (scaled[:, [3, 2]] - scaled[:, [1, 0]]).clamp(min=0.0 if spec.aligned else 1.0)
    cells = cells / spec.resolution
    points = torch.full_like(extents, spec.sampling_ratio)
    if not spec.sampling_ratio:
        points = cells.ceil().long()

    bins = spec.resolution**2
    of_cell = points.prod(1)
    of_crop = of_cell * bins
    crop = torch.repeat_interleave(torch.arange(boxes.shape[0], device=boxes.device), of_crop)
    place = torch.arange(crop.shape[0], device=boxes.device) - (of_crop.cumsum(0) - of_crop)[crop]
    # A place in a crop: row and column of the cell, row and column of the point in it.
    count_y, count_x = points[crop].unbind(1)
    place, point_x = _split(place, count_x)
    place, point_y = _split(place, count_y)
    cell_y, cell_x = _split(place, torch.full_like(place, spec.resolution))
    within = torch.stack(((point_y + 0.5) / count_y, (point_x + 0.5) / count_x), 1)
    at = start[crop] + (torch.stack((cell_y, cell_x), 1) + within) * cells[crop]

    limits = extents[crop]
    inside = ((at >= -1) & (at <= limits)).all(1)
    at = torch.minimum(at.clamp(min=0), limits - 1)
    low = at.floor().long()
    high = torch.minimum(low + 1, limits - 1)
    share = at - low
    weights, rows = [], []
    for y, share_y in ((low[:, 0], 1 - share[:, 0]), (high[:, 0], share[:, 0])):
        for x, share_x in ((low[:, 1], 1 - share[:, 1]), (high[:, 1], share[:, 1])):
            rows.append(first[crop] + y * limits[:, 1] + x)
            weights.append(share_y * share_x * inside / of_cell[crop])
    of_row = (4 * of_cell).repeat_interleave(bins)
    crops = functional.embedding_bag(
        torch.stack(rows, 1).flatten(),
        table,
        of_row.cumsum(0) - of_row,
        mode="sum",
        per_sample_weights=torch.stack(weights, 1).flatten().to(table.dtype),
    )
    size = spec.resolution
    return crops.reshape(-1, size, size, table.shape[1]).permute(0, 3, 1, 2)


def _split(place: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Number of the group, and number within the group, of places in groups of `count`."""
    return torch.div(place, count, rounding_mode="floor"), place % count


def _by_layers(
    maps: list[Tensor],
    strides: list[int],
    boxes: Tensor,
    levels: Tensor,
    images: Tensor,
    spec: RoIHeadSpec,
) -> Tensor:
    """A layer RoiAlign for each map.

    Boxes of other maps are there without area, which costs little, so that all sizes are fixed.
    """
    crops: Tensor | None = None
    for level, (x, stride) in enumerate(zip(maps, strides, strict=True)):
        own = levels == level
        here = torch.where(own[:, None], boxes, torch.zeros_like(boxes))
        found: Tensor = _InONNX.apply(x, here, images, 1 / stride, spec)  # type: ignore[no-untyped-call]
        crops = found if crops is None else torch.where(own[:, None, None, None], found, crops)
    assert crops is not None
    return crops


class _InONNX(torch.autograd.Function):
    """Stands for the layer RoiAlign while a graph is traced."""

    @staticmethod
    def forward(
        _: Any,
        x: Tensor,
        boxes: Tensor,
        images: Tensor,  # noqa: ARG004
        scale: float,  # noqa: ARG004
        spec: RoIHeadSpec,
    ) -> Tensor:
        return x.new_zeros((boxes.shape[0], x.shape[1], spec.resolution, spec.resolution))

    @staticmethod
    def symbolic(
        graph: Any, x: Any, boxes: Any, images: Any, scale: float, spec: RoIHeadSpec
    ) -> Any:
        return graph.op(
            "RoiAlign",
            x,
            boxes,
            images,
            mode_s="avg",
            coordinate_transformation_mode_s="half_pixel" if spec.aligned else "output_half_pixel",
            output_height_i=spec.resolution,
            output_width_i=spec.resolution,
            sampling_ratio_i=spec.sampling_ratio,
            spatial_scale_f=scale,
        )
