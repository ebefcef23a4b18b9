"""Region proposal network (Ren et al. 2015, https://arxiv.org/abs/1506.01497)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..model_templates.anchor_heads import RPNSpec
from .anchors import clipped, image_sides, level_anchors
from .proposals import Proposals, at, best_proposals, best_scores, filled, unhidden
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
        return RPNPredictions(
            logits, deltas, anchors, image_sides(self.spec.anchors.strides[0], maps[0])
        )

    @torch.no_grad()
    def propose(self, found: RPNPredictions, *, pre_nms_topk: int, post_nms_topk: int) -> Proposals:
        """The best boxes, without gradients.

        Args:
            found: The result of `forward`.
            pre_nms_topk: See `RPNSpec`.
            post_nms_topk: See `RPNSpec`.
        """
        scores, boxes, kept = [], [], []
        for logits, deltas, anchors in zip(found.logits, found.deltas, found.anchors, strict=True):
            best, places = best_scores(logits, pre_nms_topk)
            anchors = filled(anchors[None], pre_nms_topk, 0.0)[0]
            found_here = decode(
                at(deltas, places),
                functional.embedding(places, anchors),
                variances=self.spec.variances,
            )
            found_here = clipped(found_here, found.sides)
            found_here, kept_here = unhidden(found_here, best, self.spec, training=self.training)
            scores.append(best)
            boxes.append(found_here)
            kept.append(kept_here)
        proposals, _ = best_proposals(
            torch.cat(boxes, 1), torch.cat(scores, 1), torch.cat(kept, 1), post_nms_topk
        )
        return proposals
