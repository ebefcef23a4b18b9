"""RetinaNet's head (Lin et al. 2017, https://arxiv.org/abs/1708.02002)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..model_templates.anchor_heads import RetinaHeadSpec
from .anchors import clipped, image_sides, level_anchors
from .layers import conv_norm_act
from .map_size import map_size
from .ssd_head import decode


@dataclass(frozen=True, eq=False)
class RetinaPredictions:
    """Raw predictions of all levels, concatenated; N anchors, finest level first.

    Attributes:
        class_logits: (B, N): logits of a face.
        deltas: (B, N, 4): offset of the centre in anchor sizes and log of the size ratio, both
            divided by their variance.
        anchors: (N, 4): centre x, centre y, width, height in network-input pixels.
        variances: What the deltas of the centre and of the size are multiplied by.
        sides: (2,): width and height of the image.
    """

    class_logits: Tensor
    deltas: Tensor
    anchors: Tensor
    variances: tuple[float, float]
    sides: Tensor

    def boxes(self) -> Tensor:
        """Boxes (B, N, 4): x1, y1, x2, y2 in network-input pixels, inside the image."""
        return clipped(decode(self.deltas, self.anchors, variances=self.variances), self.sides)

    def scores(self) -> Tensor:
        """Scores (B, N), 0 to 1."""
        return self.class_logits.sigmoid()

    def landmark_points(self) -> Tensor | None:
        """None: this head has no landmarks."""
        return None


class RetinaHead(nn.Module):
    """A tower for the class and one for the box, which all levels share."""

    def __init__(self, spec: RetinaHeadSpec, in_channels: list[int]) -> None:
        super().__init__()
        self.spec = spec
        channels, count = in_channels[0], spec.anchors.for_each_cell

        def tower() -> nn.Sequential:
            layers = (conv_norm_act(channels, channels, norm="none") for _ in range(spec.tower))
            return nn.Sequential(*layers)

        self.class_tower, self.box_tower = tower(), tower()
        self.classes = nn.Conv2d(channels, count, 3, padding=1)
        self.boxes = nn.Conv2d(channels, 4 * count, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        # At first a face has a probability of 1 % everywhere.
        nn.init.constant_(self.classes.bias, -math.log(99.0))  # type: ignore[arg-type]

    def forward(self, maps: list[Tensor]) -> RetinaPredictions:
        """Raw predictions from feature maps, one per level and finest first."""
        logits, deltas, anchors = [], [], []
        for level, x in enumerate(maps):
            classes = self.classes(self.class_tower(x))
            boxes = self.boxes(self.box_tower(x))
            anchors.append(level_anchors(self.spec.anchors, level, x))
            logits.append(classes.permute(0, 2, 3, 1).flatten(1))
            height, width = map_size(x)
            # With -1 for the batch alone: Keras takes no second one for a map of one cell.
            count = self.spec.anchors.for_each_cell * height * width
            deltas.append(boxes.permute(0, 2, 3, 1).reshape(-1, count, 4))
        return RetinaPredictions(
            class_logits=torch.cat(logits, dim=1),
            deltas=torch.cat(deltas, dim=1),
            anchors=torch.cat(anchors),
            variances=self.spec.variances,
            sides=image_sides(self.spec.anchors.strides[0], maps[0]),
        )
