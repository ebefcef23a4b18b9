"""RoIAlign (He et al. 2017, https://arxiv.org/abs/1703.06870) over the maps of a pyramid."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..model_templates.anchor_heads import RoIHeadSpec
from .map_size import map_size
from .nms import in_torchscript


def roi_align(
    maps: list[Tensor], strides: list[int], rois: Tensor, valid: Tensor, spec: RoIHeadSpec
) -> tuple[Tensor, Tensor | None]:
    """Crops of feature maps, of the boxes that are valid; in TorchScript files of all boxes.

    Args:
        maps: (B, C, H, W) each, finest first.
        strides: Theirs, in pixels of the image.
        rois: (B, R, 4): x1, y1, x2, y2 in pixels of the image.
        valid: bool (B, R).
        spec: `levels` maps are used; which of them for a box, follows from its size.

    Returns:
        (N, C, resolution, resolution), and int64 (N,): their places among all B * R boxes; None if
        these are all, in their order.
    """
    maps, strides = maps[: spec.levels], strides[: spec.levels]
    levels = assigned_levels(rois, strides, spec).flatten()
    rois = enlarged(rois, spec.context)
    # A number for each box: that of its image.
    images = torch.arange(rois.shape[0], device=rois.device)[:, None].expand(rois.shape[:2])
    images, boxes, valid = images.flatten(), rois.reshape(-1, 4), valid.flatten()
    if torch.onnx.is_in_onnx_export():
        return _by_layers(maps, strides, boxes, levels, images, valid, spec)
    if rois.is_meta:  # how many points are averaged follows from the boxes
        size = spec.resolution
        return maps[0].new_empty((boxes.shape[0], maps[0].shape[1], size, size)), None
    if in_torchscript():
        return _by_rows(maps, strides, boxes, levels, images, spec), None
    places = valid.nonzero().squeeze(1)
    boxes, levels, images = (one[places] for one in (boxes, levels, images))
    return _by_rows(maps, strides, boxes, levels, images, spec), places


def assigned_levels(rois: Tensor, strides: list[int], spec: RoIHeadSpec) -> Tensor:
    """The map of each box: int64 (...), 0 for the finest (Lin et al. 2017, equation 1)."""
    finest = strides[0].bit_length() - 1
    sides = (rois[..., 2:] - rois[..., :2]).clamp(min=0).prod(-1).sqrt()
    # The small number keeps boxes of exactly twice the size from falling one level lower.
    level = spec.canonical_level + torch.log2(sides / spec.canonical_size + 1e-8)
    return (torch.floor(level + 1e-6) - finest).clamp(0, len(strides) - 1).long()


def enlarged(boxes: Tensor, times: float) -> Tensor:
    """Boxes (..., 4) of the same centre, some times as wide and high."""
    if times == 1:
        return boxes
    start, end = boxes[..., :2], boxes[..., 2:]
    more = (end - start) * ((times - 1) / 2)
    return torch.cat((start - more, end + more), dim=-1)


def _by_rows(
    maps: list[Tensor],
    strides: list[int],
    boxes: Tensor,
    levels: Tensor,
    images: Tensor,
    spec: RoIHeadSpec,
) -> Tensor:
    """Each cell of each crop as a weighted sum of rows of one table: all cells of all maps."""
    sides = [[_number(side) for side in map_size(x)] for x in maps]
    sizes = [torch.stack(one).to(boxes.device) for one in sides]
    table = torch.cat([x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]) for x in maps])
    counts = torch.stack([height * width for height, width in sizes]) * maps[0].shape[0]
    extents = torch.stack(sizes).index_select(0, levels)
    height, width = extents.unbind(1)
    first = (counts.cumsum(0) - counts).index_select(0, levels) + images * height * width
    scaled = boxes / torch.tensor(strides, device=boxes.device).index_select(0, levels)[:, None]
    low, high = scaled[:, :2].flip(1), scaled[:, 2:].flip(1)  # y, x
    start = low - 0.5 * spec.aligned
    cells = (high - low).clamp(min=0.0 if spec.aligned else 1.0)
    cells = cells / spec.resolution
    points = torch.full_like(extents, spec.sampling_ratio)
    if not spec.sampling_ratio:
        points = cells.ceil().long()

    of_cell = points[:, 0] * points[:, 1]
    bins = spec.resolution**2
    places = of_cell
    if in_torchscript():  # no size of an array in a file may follow from what the boxes are
        most = _most_points(sides, spec)
        places = torch.zeros_like(of_cell) + most
        crop, place = _equal_places(of_cell, most * bins)
    else:
        crop, place = _places(of_cell * bins)
    # A place in a crop: row and column of the cell, row and column of the point in it.
    count_y, count_x = points.clamp(min=1).index_select(0, crop).unbind(1)
    cell, point = _split(place, places.index_select(0, crop))
    cell_y, cell_x = _split(cell, torch.full_like(cell, spec.resolution))
    point_y, point_x = _split(point, count_x)
    within = torch.stack(((point_y + 0.5) / count_y, (point_x + 0.5) / count_x), 1)
    step = cells.index_select(0, crop)
    at = start.index_select(0, crop) + (torch.stack((cell_y, cell_x), 1) + within) * step

    limits = extents.index_select(0, crop)
    counts_in = ((at >= -1) & (at <= limits)).all(1) & (point < of_cell.index_select(0, crop))
    begin, number = (one.index_select(0, crop) for one in (first, of_cell.clamp(min=1)))
    at = torch.minimum(at.clamp(min=0), limits - 1)
    low = at.floor().long()
    high = torch.minimum(low + 1, limits - 1)
    share = at - low
    weights, rows = [], []
    for y, share_y in ((low[:, 0], 1 - share[:, 0]), (high[:, 0], share[:, 0])):
        for x, share_x in ((low[:, 1], 1 - share[:, 1]), (high[:, 1], share[:, 1])):
            # Of points that do not count, always the same row, which is at hand.
            rows.append((begin + y * limits[:, 1] + x) * counts_in)
            weights.append(share_y * share_x * counts_in / number)
    of_row = (4 * places)[:, None].expand(-1, bins).flatten()
    crops = functional.embedding_bag(
        torch.stack(rows, 1).flatten(),
        table,
        of_row.cumsum(0) - of_row,
        mode="sum",
        per_sample_weights=torch.stack(weights, 1).flatten().to(table.dtype),
    )
    size = spec.resolution
    return crops.reshape(-1, size, size, table.shape[1]).permute(0, 3, 1, 2)


def _number(side: int) -> Tensor:
    """A side of a map as int64 (), where the tracer has not made it one."""
    return side if isinstance(side, Tensor) else torch.tensor(side)


def _places(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Number of the crop, and place in it, of each of the `counts` places of each crop."""
    crop = torch.repeat_interleave(torch.arange(counts.shape[0], device=counts.device), counts)
    first = (counts.cumsum(0) - counts).index_select(0, crop)
    return crop, torch.arange(crop.shape[0], device=counts.device) - first


def _equal_places(crops: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """The same for `count` () places of each of some crops."""
    crop = torch.arange(crops.shape[0], device=crops.device)[:, None]
    place = torch.arange(count, device=crops.device)[None]  # type: ignore[call-overload]
    return (crop + 0 * place).flatten(), (place + 0 * crop).flatten()


def _most_points(sizes: list[list[Tensor]], spec: RoIHeadSpec) -> Tensor:
    """A bound, int64 (), on the points that are averaged in a cell.

    From height and width () of each map alone.

    A box of h x w cells of its map has fewer than (h / r + 1)(w / r + 1) of them. Its area is
    below that of the next coarser map's boxes, or it lies in the coarsest map.
    """
    if spec.sampling_ratio:
        return torch.as_tensor(spec.sampling_ratio**2)
    # The small part is what `assigned_levels` adds.
    side = 1.001 * 2 * spec.canonical_size / 2**spec.canonical_level
    (height, width), (low, narrow) = sizes[0], sizes[-1]
    area = (low * narrow).clamp(min=math.ceil(side**2))
    half_round = torch.maximum(torch.maximum(height, width) + math.ceil(side), low + narrow)
    cells = spec.resolution / spec.context
    of_cell = area / cells**2 + half_round / cells + 1
    return of_cell.ceil().long()


def _split(place: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Number of the group, and number within the group, of places in groups of `count`."""
    return torch.div(place, count, rounding_mode="floor"), place % count


def _by_layers(
    maps: list[Tensor],
    strides: list[int],
    boxes: Tensor,
    levels: Tensor,
    images: Tensor,
    valid: Tensor,
    spec: RoIHeadSpec,
) -> tuple[Tensor, Tensor]:
    """A layer RoiAlign for each map, which looks at its own boxes alone."""
    crops, places = [], []
    for level, (x, stride) in enumerate(zip(maps, strides, strict=True)):
        own = (valid & (levels == level)).nonzero().squeeze(1)
        here = boxes.index_select(0, own), images.index_select(0, own)
        crops.append(_InONNX.apply(x, *here, 1 / stride, spec))  # type: ignore[no-untyped-call]
        places.append(own)
    return torch.cat(crops), torch.cat(places)


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
