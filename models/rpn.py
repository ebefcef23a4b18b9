"""Region proposal network (Ren et al. 2015, https://arxiv.org/abs/1506.01497)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..model_templates.anchor_heads import RPNSpec
from .anchors import clipped, image_sides, level_anchors
from .nms import best_boxes
from .ssd_head import decode


@dataclass(frozen=True, eq=False)
class RPNPredictions:
    """Raw predictions of the first stage, a tensor for each level, finest first.

    Attributes:
        logits: (B, n): logits of a face, of each anchor.
        deltas: (B, n, 4): offset of the centre in anchor sizes and log of the size ratio, both
            divided by their variance.
        anchors: (n, 4): centre x, centre y, width, height in network-input pixels.
        sides: (2,): width and height of the image.
    """

    logits: list[Tensor]
    deltas: list[Tensor]
    anchors: list[Tensor]
    sides: Tensor


@dataclass(frozen=True, eq=False)
class Proposals:
    """Boxes that the second stage looks at.

    Attributes:
        boxes: (B, R, 4): x1, y1, x2, y2 in network-input pixels, inside the image.
        valid: bool (B, R): false where an image has fewer than R; such boxes are zeros.
    """

    boxes: Tensor
    valid: Tensor


class RPN(nn.Module):
    """One 3x3 convolution and two predictions, which all levels share."""

    def __init__(self, spec: RPNSpec, in_channels: list[int]) -> None:
        super().__init__()
        self.spec = spec
        channels, count = in_channels[0], spec.anchors.for_each_cell
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, count, 1)
        self.boxes = nn.Conv2d(channels, 4 * count, 1)
        for layer in (self.conv, self.objectness, self.boxes):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, maps: list[Tensor]) -> RPNPredictions:
        """Raw predictions from feature maps, one per level and finest first."""
        logits, deltas, anchors = [], [], []
        for level, x in enumerate(maps):
            features = torch.relu(self.conv(x))
            anchors.append(level_anchors(self.spec.anchors, level, x))
            logits.append(self.objectness(features).permute(0, 2, 3, 1).flatten(1))
            boxes = self.boxes(features).permute(0, 2, 3, 1)
            deltas.append(boxes.reshape(x.shape[0], -1, 4))
        return RPNPredictions(logits, deltas, anchors, image_sides(self.spec.anchors, maps[0]))

    @torch.no_grad()
    def propose(self, found: RPNPredictions, *, pre_nms_topk: int, post_nms_topk: int) -> Proposals:
        """The best boxes, without gradients.

        Their number is fixed, as an image with fewer gets boxes without area, so that batches,
        contracts and compilers know all shapes.

        Args:
            found: The result of `forward`.
            pre_nms_topk: See `RPNSpec`.
            post_nms_topk: See `RPNSpec`.
        """
        scores, boxes, kept = [], [], []
        for logits, deltas, anchors in zip(found.logits, found.deltas, found.anchors, strict=True):
            # Filled up, as a level may have fewer anchors, which depends on the image's size.
            logits = _filled(logits.float(), pre_nms_topk, _LEAST)
            deltas = _filled(deltas.float(), pre_nms_topk, 0.0)
            anchors = _filled(anchors[None], pre_nms_topk, 0.0)[0]
            best, index = logits.topk(pre_nms_topk)
            deltas = deltas.gather(1, index[..., None].expand(-1, -1, 4))
            found_here = decode(
                deltas, functional.embedding(index, anchors), variances=self.spec.variances
            )
            found_here = clipped(found_here, found.sides)
            sides = found_here[..., 2:] - found_here[..., :2]
            large = (sides > self.spec.min_size).all(-1)
            # Boxes without area hide no other in NMS.
            found_here = found_here * large[..., None]
            scores.append(best)
            boxes.append(found_here)
            kept.append(large & best_boxes(found_here, best, iou=self.spec.nms_threshold))
        valid, every = torch.cat(kept, 1), torch.cat(boxes, 1)
        ranked = torch.where(valid, torch.cat(scores, 1), torch.full_like(every[..., 0], _LEAST))
        index = ranked.topk(post_nms_topk).indices
        valid = valid.gather(1, index)
        chosen = every.gather(1, index[..., None].expand(-1, -1, 4))
        return Proposals(chosen * valid[..., None], valid)


_LEAST = -1e4
"""A logit below all that networks give; FP16 still has it."""


def _filled(x: Tensor, count: int, value: float) -> Tensor:
    """An array (B, N, ...) with `count` more rows of a value."""
    more = torch.full_like(x[:, :1], value)
    return torch.cat((x, more.repeat(1, count, *[1] * (x.dim() - 2))), dim=1)
