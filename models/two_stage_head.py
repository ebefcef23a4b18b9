"""The head of Faster R-CNN (Ren et al. 2015; Lin et al. 2017): proposals, then a second look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..model_templates.anchor_heads import RoIHeadSpec, TwoStageHeadSpec
from .anchors import clipped
from .roi_align import roi_align
from .rpn import RPN, Proposals, RPNPredictions
from .ssd_head import BACKGROUND, FACE, decode

Sampler = Callable[[Proposals], Tensor]
"""Chooses in training the boxes (B, S, 4) that the second stage learns from."""


@dataclass(frozen=True, eq=False)
class TwoStagePredictions:
    """Raw predictions of both stages; R boxes in each image.

    Attributes:
        rpn: Of the first stage.
        proposals: What it found.
        rois: (B, R, 4): what the second stage looked at: `proposals`, or in training what was
            sampled; x1, y1, x2, y2 in network-input pixels.
        class_logits: (B, R, 2): background, face.
        deltas: (B, R, 4): offset of the centre in box sizes and log of the size ratio, both
            divided by their variance.
        variances: What the deltas of the centre and of the size are multiplied by.
    """

    rpn: RPNPredictions
    proposals: Proposals
    rois: Tensor
    class_logits: Tensor
    deltas: Tensor
    variances: tuple[float, float]

    def boxes(self) -> Tensor:
        """Boxes (B, R, 4): x1, y1, x2, y2 in network-input pixels, inside the image."""
        start, end = self.rois[..., :2], self.rois[..., 2:]
        anchors = torch.cat(((start + end) / 2, end - start), dim=-1)
        return clipped(decode(self.deltas, anchors, variances=self.variances), self.rpn.sides)

    def scores(self) -> Tensor:
        """Scores (B, R), 0 to 1: the softmax of the face; 0 where there was no proposal."""
        faces = self.class_logits.softmax(-1)[..., FACE : FACE + 1].squeeze(-1)
        return faces * self.proposals.valid

    def landmark_points(self) -> Tensor | None:
        """None: this head has no landmarks."""
        return None


class RoIHead(nn.Module):
    """Two dense layers, mostly, over the crop of a box, and two predictions."""

    def __init__(self, spec: RoIHeadSpec, in_channels: int) -> None:
        super().__init__()
        sizes = [in_channels * spec.resolution**2, *spec.fc]
        dense = [nn.Linear(one, other) for one, other in pairwise(sizes)]
        self.fc = nn.ModuleList(dense)
        self.classes = nn.Linear(sizes[-1], 1 + max(BACKGROUND, FACE))
        # One class has one box, so that boxes of each class and of all classes are the same.
        self.boxes = nn.Linear(sizes[-1], 4)
        for layer in dense:
            nn.init.kaiming_uniform_(layer.weight, a=1)
        nn.init.normal_(self.classes.weight, std=0.01)
        nn.init.normal_(self.boxes.weight, std=0.001)
        for layer in (*dense, self.classes, self.boxes):
            nn.init.zeros_(layer.bias)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (N, 2) and deltas (N, 4) from crops (N, C, S, S)."""
        x = crops.flatten(1)
        for layer in self.fc:
            x = torch.relu(layer(x))
        return self.classes(x), self.boxes(x)


class TwoStageHead(nn.Module):
    """See `TwoStageHeadSpec`."""

    def __init__(self, spec: TwoStageHeadSpec, in_channels: list[int]) -> None:
        super().__init__()
        self.spec = spec
        self.rpn = RPN(spec.rpn, in_channels)
        self.roi = RoIHead(spec.roi, in_channels[0])

    def forward(self, maps: list[Tensor], sampler: Sampler | None = None) -> TwoStagePredictions:
        """Raw predictions from feature maps, one per level and finest first.

        Args:
            maps: (B, C, H, W) each.
            sampler: Chooses among more proposals what the second stage learns from.
        """
        spec = self.spec
        found = self.rpn(maps)
        limits = spec.rpn if sampler is None else spec.loss
        proposals = self.rpn.propose(
            found, pre_nms_topk=limits.pre_nms_topk, post_nms_topk=limits.post_nms_topk
        )
        rois = proposals.boxes if sampler is None else sampler(proposals)
        crops = roi_align(maps, spec.level_strides, rois, spec.roi)
        logits, deltas = self.roi(crops)
        count = rois.shape[1]
        return TwoStagePredictions(
            rpn=found,
            proposals=proposals,
            rois=rois,
            class_logits=logits.reshape(-1, count, logits.shape[-1]),
            deltas=deltas.reshape(-1, count, 4),
            variances=spec.roi.variances,
        )
