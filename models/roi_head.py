"""The second stage: dense layers over the crop of each proposal (Girshick 2015)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..model_templates.anchor_heads import RoIHeadSpec
from .anchors import clipped
from .proposals import Proposals
from .roi_align import roi_align
from .ssd_head import BACKGROUND, FACE, decode

Sampler = Callable[[Proposals], Tensor]
"""Chooses in training the boxes (B, S, 4) that the second stage learns from."""


@dataclass(frozen=True, eq=False)
class RoIPredictions:
    """Raw predictions of the second stage; R boxes in each image.

    Attributes:
        rois: (B, R, 4): what it looked at; x1, y1, x2, y2 in network-input pixels.
        class_logits: (B, R, 2): background, face; anything for boxes that are not valid.
        deltas: (B, R, 4): offset of the centre in box sizes and log of the size ratio, both
            divided by their variance; likewise.
        variances: What the deltas of the centre and of the size are multiplied by.
        sides: (2,): width and height of the image.
    """

    rois: Tensor
    class_logits: Tensor
    deltas: Tensor
    variances: tuple[float, float]
    sides: Tensor

    def boxes(self) -> Tensor:
        """Boxes (B, R, 4): x1, y1, x2, y2 in network-input pixels, inside the image."""
        start, end = self.rois[..., :2], self.rois[..., 2:]
        anchors = torch.cat(((start + end) / 2, end - start), dim=-1)
        return clipped(decode(self.deltas, anchors, variances=self.variances), self.sides)

    def log_odds(self) -> Tensor:
        """How far the logit of the face lies above that of the background (B, R)."""
        return self.class_logits[..., FACE] - self.class_logits[..., BACKGROUND]

    def scores(self) -> Tensor:
        """The softmax of the face (B, R), 0 to 1."""
        return self.log_odds().sigmoid()


class RoIHead(nn.Module):
    """Two dense layers, mostly, over the crop of a box, and two predictions."""

    def __init__(self, spec: RoIHeadSpec, in_channels: int) -> None:
        super().__init__()
        self.spec = spec
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

    def forward(
        self,
        maps: list[Tensor],
        strides: list[int],
        rois: Tensor,
        valid: Tensor,
        sides: Tensor,
    ) -> RoIPredictions:
        """Look at boxes.

        Args:
            maps: (B, C, H, W) each, finest first.
            strides: Theirs.
            rois: (B, R, 4): x1, y1, x2, y2 in network-input pixels.
            valid: bool (B, R): those to look at.
            sides: (2,): width and height of the image.
        """
        crops, places = roi_align(maps, strides, rois, valid, self.spec)
        x = crops.flatten(1)
        for layer in self.fc:
            x = torch.relu(layer(x))
        return RoIPredictions(
            rois=rois,
            class_logits=_spread(self.classes(x), places, rois),
            deltas=_spread(self.boxes(x), places, rois),
            variances=self.spec.variances,
            sides=sides,
        )


def _spread(x: Tensor, places: Tensor | None, rois: Tensor) -> Tensor:
    """Rows (N, C) at their places (see `roi_align`) among the boxes (B, R, 4): (B, R, C).

    The others are zeros.
    """
    if places is not None:
        empty = torch.zeros_like(rois[..., :1], dtype=x.dtype).expand(-1, -1, x.shape[1])
        x = empty.reshape(-1, x.shape[1]).index_copy(0, places, x)
    return x.reshape(-1, rois.shape[1], x.shape[1])
