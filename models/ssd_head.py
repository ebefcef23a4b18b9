"""SSD head (Liu et al. 2016, https://arxiv.org/abs/1512.02325), depthwise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..model_templates.heads import AnchorLevelSpec, SSDHeadSpec
from .dense_head import MAX_LOG_RATIO, grid_points
from .layers import conv_norm_act
from .map_size import map_size

BACKGROUND, FACE = 0, 1
"""Columns of the class logits."""


@dataclass(frozen=True, eq=False)
class SSDPredictions:
    """Raw predictions of all levels, concatenated; N anchors, finest level first.

    Attributes:
        class_logits: (B, N, 2): background, face.
        deltas: (B, N, 4): offset of the centre in anchor sizes and log of the size ratio, both
            divided by their variance.
        anchors: (N, 4): centre x, centre y, width, height in network-input pixels.
        variances: What the deltas of the centre and of the size are multiplied by.
    """

    class_logits: Tensor
    deltas: Tensor
    anchors: Tensor
    variances: tuple[float, float]

    def boxes(self) -> Tensor:
        """Boxes (B, N, 4): x1, y1, x2, y2 in network-input pixels."""
        return decode(self.deltas, self.anchors, variances=self.variances)

    def scores(self) -> Tensor:
        """Scores (B, N), 0 to 1: the softmax of the face."""
        # A slice, because older Core ML cannot take a column by its index.
        return self.class_logits.softmax(-1)[..., FACE : FACE + 1].squeeze(-1)

    def landmark_points(self) -> Tensor | None:
        """None: this head has no landmarks."""
        return None


class SSDHead(nn.Module):
    """For each level one branch for boxes and one for classes: depthwise 3x3, then 1x1."""

    def __init__(self, spec: SSDHeadSpec, in_channels: list[int]) -> None:
        super().__init__()
        self.anchors = spec.anchors
        self.variances = spec.variances

        def branch(channels: int, outputs: int) -> nn.Sequential:
            predict = nn.Conv2d(channels, outputs, 1)
            nn.init.normal_(predict.weight, std=0.01)
            nn.init.zeros_(predict.bias)  # type: ignore[arg-type]
            return nn.Sequential(conv_norm_act(channels, channels, groups=channels), predict)

        counts = [len(level.widths) for level in spec.anchors]
        levels = list(zip(in_channels, counts, strict=True))
        self.boxes = nn.ModuleList(branch(channels, 4 * count) for channels, count in levels)
        self.classes = nn.ModuleList(branch(channels, 2 * count) for channels, count in levels)

    def forward(self, maps: list[Tensor]) -> SSDPredictions:
        """Raw predictions from feature maps, one per level and finest first."""
        logits, deltas, anchors = [], [], []
        for x, level, boxes, classes in zip(
            maps, self.anchors, self.boxes, self.classes, strict=True
        ):
            height, width = map_size(x)
            anchors.append(level_anchors(level, height, width, device=x.device))
            count = len(level.widths) * height * width
            deltas.append(boxes(x).permute(0, 2, 3, 1).reshape(-1, count, 4))
            logits.append(classes(x).permute(0, 2, 3, 1).reshape(-1, count, 2))
        return SSDPredictions(
            class_logits=torch.cat(logits, dim=1),
            deltas=torch.cat(deltas, dim=1),
            anchors=torch.cat(anchors),
            variances=self.variances,
        )


def level_anchors(
    level: AnchorLevelSpec, height: int, width: int, *, device: torch.device
) -> Tensor:
    """Anchors centred on the cells, cell by cell: float32 (height * width * A, 4), cx cy w h."""
    sizes = torch.tensor([*zip(level.widths, level.heights, strict=True)], device=device)
    centres = grid_points(height, width, level.stride, device=device)
    return torch.cat(
        (
            centres[:, None].expand(-1, len(level.widths), -1),
            sizes[None].expand(height * width, -1, -1),
        ),
        dim=-1,
    ).reshape(-1, 4)


def decode(deltas: Tensor, anchors: Tensor, *, variances: tuple[float, float]) -> Tensor:
    """Boxes x1, y1, x2, y2 from deltas (..., N, 4) and `anchors` (..., N, 4): cx, cy, w, h."""
    centres = anchors[..., :2] + deltas[..., :2] * (variances[0] * anchors[..., 2:])
    ratios = (deltas[..., 2:] * variances[1]).clamp(max=MAX_LOG_RATIO).exp()
    halves = ratios * (anchors[..., 2:] / 2)
    return torch.cat((centres - halves, centres + halves), dim=-1)


def encode(boxes: Tensor, anchors: Tensor, *, variances: tuple[float, float]) -> Tensor:
    """The deltas (P, 4) that `decode` turns into `boxes` (P, 4: x1, y1, x2, y2; area > 0)."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    sizes = boxes[:, 2:] - boxes[:, :2]
    offset = (centres - anchors[:, :2]) / (variances[0] * anchors[:, 2:])
    ratio = (sizes / anchors[:, 2:]).log() / variances[1]
    return torch.cat((offset, ratio), dim=-1)
