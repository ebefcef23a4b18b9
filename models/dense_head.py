"""One prediction for each grid cell. FCOS, ATSS and our models differ only in their spec."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..model_templates.dense_heads import DenseHeadSpec
from .layers import ChannelGroups, Group, conv_norm_act, mark_convolution
from .map_size import map_size

NUM_LANDMARKS = 5

DELTA_VARIANCES = (0.1, 0.2)
MAX_LOG_RATIO = math.log(1000 / 16)
"""Limits a box to 62.5 times the sides of its anchor, so that `exp` stays finite in FP16."""
MAX_LOG_DISTANCE = math.log(10_000)
"""In pixels, of a side from the middle of its cell, for the same reason."""


@dataclass(frozen=True, eq=False)
class DensePredictions:
    """Raw predictions of all levels, concatenated; N cells, finest level first.

    Attributes:
        class_logits: (B, N): logits of a face.
        distances: (B, N, 4): from the cell centre to the left, top, right and bottom side of the
            box, in strides.
        centerness_logits: (B, N) or None.
        landmarks: (B, N, 10): x, y offsets from the cell centre, in strides; or None.
        points: (N, 2): x, y of the cell centres in network-input pixels.
        strides: (N,): the stride of each cell's level, in network-input pixels.
        level_sizes: The number of cells of each level.
    """

    class_logits: Tensor
    distances: Tensor
    centerness_logits: Tensor | None
    landmarks: Tensor | None
    points: Tensor
    strides: Tensor
    level_sizes: tuple[int, ...]

    def boxes(self) -> Tensor:
        """Boxes (B, N, 4): x1, y1, x2, y2 in network-input pixels."""
        scaled = self.distances * self.strides[:, None]
        return torch.cat((self.points - scaled[..., :2], self.points + scaled[..., 2:]), dim=-1)

    def scores(self) -> Tensor:
        """Scores (B, N), 0 to 1; with centre-ness, its geometric mean with the class score."""
        scores = self.class_logits.sigmoid()
        if self.centerness_logits is not None:
            scores = (scores * self.centerness_logits.sigmoid()).sqrt()
        return scores

    def landmark_points(self) -> Tensor | None:
        """Landmarks (B, N, 5, 2): x, y in network-input pixels; None if the head has none."""
        if self.landmarks is None:
            return None
        offsets = self.landmarks.reshape(-1, sum(self.level_sizes), NUM_LANDMARKS, 2)
        return self.points[:, None] + offsets * self.strides[:, None, None]


class _LevelHead(nn.Module):
    """The towers and predictions of one level, or of all levels if they share weights."""

    def __init__(self, spec: DenseHeadSpec, in_channels: int) -> None:
        super().__init__()

        def tower() -> nn.Sequential:
            widths = [in_channels] + [spec.channels] * spec.tower
            return nn.Sequential(
                *(
                    conv_norm_act(a, b, separable=spec.separable, norm=spec.norm)
                    for a, b in pairwise(widths)
                )
            )

        def prediction(size: int) -> nn.Conv2d:
            kernel = 1 if spec.separable else 3
            return nn.Conv2d(spec.channels, size, kernel, padding=kernel // 2)

        self.class_tower = tower()
        # A separate tower for the box pays off if all levels share the weights; otherwise one
        # tower for both is cheaper.
        self.box_tower = tower() if spec.shared else None
        self.classes = prediction(1)
        self.boxes = prediction(4)
        self.centerness_of_classes = spec.centerness_tower == "classes"
        self.centerness = prediction(1) if spec.centerness else None
        self.landmarks = prediction(2 * NUM_LANDMARKS) if spec.landmarks else None
        for conv in (self.classes, self.boxes, self.centerness, self.landmarks):
            if conv is not None:
                nn.init.normal_(conv.weight, std=0.01)
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        # At first a face has a probability of 1 % everywhere (Lin et al. 2017, Focal Loss), and
        # a box is three cells wide and high; the head sets the bias where boxes are logarithms.
        nn.init.constant_(self.classes.bias, -math.log(99.0))  # type: ignore[arg-type]
        if spec.box_coding == "distance":
            nn.init.constant_(self.boxes.bias, 1.5)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> list[Tensor | None]:
        class_features = self.class_tower(x)
        box_features = class_features if self.box_tower is None else self.box_tower(x)
        centre_features = class_features if self.centerness_of_classes else box_features
        return [
            self.classes(class_features),
            self.boxes(box_features),
            None if self.centerness is None else self.centerness(centre_features),
            None if self.landmarks is None else self.landmarks(box_features),
        ]

    def mark_channels(self, groups: ChannelGroups, source: Group | None) -> None:
        """Add the layers to `groups`; `source` is the group of the level's feature map."""
        for layers in self.class_tower:
            made = Group()
            mark_convolution(groups, layers, gives=made, takes=source)
            source = made
        for prediction in (self.classes, self.boxes, self.centerness, self.landmarks):
            if prediction is not None:
                groups[prediction] = (None, source)


class DenseHead(nn.Module):
    """Anchor-point head over several levels. See `DenseHeadSpec`."""

    def __init__(self, spec: DenseHeadSpec, in_channels: list[int]) -> None:
        super().__init__()
        self.strides = spec.strides
        self.prunable = not spec.shared and spec.norm == "batch"
        count = 1 if spec.shared else len(spec.strides)
        self.levels = nn.ModuleList(_LevelHead(spec, channels) for channels in in_channels[:count])
        # One factor per level lets shared weights serve all of them (FCOS, section 3.2).
        self.scales = nn.Parameter(torch.ones(len(spec.strides))) if spec.shared else None
        self.coding = spec.box_coding
        self.anchor_scale = spec.anchor_scale
        if self.coding == "log_distance":
            self._begin_with_boxes_of_three_cells()

    def _begin_with_boxes_of_three_cells(self) -> None:
        first = [math.log(1.5 * stride) for stride in self.strides]
        for level, value in zip(self.levels, first, strict=False):
            nn.init.constant_(level.boxes.bias, value)  # type: ignore[union-attr,arg-type]
        if self.scales is not None:
            self.scales.data = torch.tensor(first) / first[0]

    def _distances(self, raw: Tensor, stride: int) -> Tensor:
        """What is predicted of boxes (B, N, 4) as `DensePredictions.distances`."""
        if self.coding == "log_distance":
            return raw.clamp(max=MAX_LOG_DISTANCE).exp() / stride
        if self.coding == "delta":
            centre = raw[..., :2] * (DELTA_VARIANCES[0] * self.anchor_scale)
            ratio = (raw[..., 2:] * DELTA_VARIANCES[1]).clamp(max=MAX_LOG_RATIO).exp()
            half = ratio * (self.anchor_scale / 2)
            return torch.cat((half - centre, half + centre), dim=-1)
        return raw

    def forward(self, maps: list[Tensor]) -> DensePredictions:
        """Raw predictions from feature maps, one per stride and finest first."""
        rows: list[list[Tensor | None]] = []
        points, strides, sizes = [], [], []
        for index, (x, stride) in enumerate(zip(maps, self.strides, strict=True)):
            head = self.levels[0 if self.scales is not None else index]
            outputs = head(x)
            if self.scales is not None:
                outputs[1] = outputs[1] * self.scales[index]
            row = [None if o is None else o.flatten(2).transpose(1, 2) for o in outputs]
            row[1] = None if row[1] is None else self._distances(row[1], stride)
            rows.append(row)
            height, width = map_size(x)
            sizes.append(height * width)
            centres = grid_points(height, width, stride, device=x.device)
            points.append(centres - stride / 2 if self.coding == "delta" else centres)
            strides.append(torch.full((height * width,), float(stride), device=x.device))
        classes, boxes, centerness, landmarks = (
            None if column[0] is None else torch.cat(column, dim=1)
            for column in zip(*rows, strict=True)
        )
        assert classes is not None
        assert boxes is not None
        return DensePredictions(
            class_logits=classes.squeeze(-1),
            distances=boxes,
            centerness_logits=None if centerness is None else centerness.squeeze(-1),
            landmarks=landmarks,
            points=torch.cat(points),
            strides=torch.cat(strides),
            level_sizes=tuple(sizes),
        )

    def mark_channels(self, groups: ChannelGroups, maps: Sequence[Group | None]) -> list[Group]:
        """See `Prunable`."""
        if not self.prunable:
            raise ValueError("expected a head of classes, or a dense one with towers of each level")
        for head, source in zip(self.levels, maps, strict=True):
            head.mark_channels(groups, source)  # type: ignore[operator]
        return []


def grid_points(height: int, width: int, stride: int, *, device: torch.device) -> Tensor:
    """Cell centres, row by row: float32 (height * width, 2) of x, y in pixels."""
    ys = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * stride
    xs = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * stride
    grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
    return torch.stack((grid_x, grid_y), dim=-1).reshape(-1, 2)
