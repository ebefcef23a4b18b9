"""A dense head, and a second stage that looks at its best boxes.

After Zhou et al. 2021 (https://arxiv.org/abs/2103.07461), where the score is the product of both
stages' probabilities. Here the second stage adds to the log-odds of the first, as each stage of
additive logistic regression does (Friedman et al. 2000), so that a new one changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..model_templates.dense_heads import ProbabilisticTwoStageHeadSpec
from .anchors import clipped, image_sides
from .dense_head import NUM_LANDMARKS, DenseHead, DensePredictions
from .proposals import Proposals, at, best_proposals, best_scores, rows, unhidden
from .roi_head import RoIHead, RoIPredictions


@dataclass(frozen=True, eq=False)
class ProbabilisticPredictions:
    """Raw predictions of both stages.

    Attributes:
        first: Of the first stage.
        proposals: Its best boxes.
        first_logits: (B, R): the log-odds that it gives them; anything where they are not valid.
        landmarks: (B, R, 5, 2): x, y in network-input pixels, likewise; None if it has none.
        second: Of the second stage: of the proposals.
    """

    first: DensePredictions
    proposals: Proposals
    first_logits: Tensor
    landmarks: Tensor | None
    second: RoIPredictions

    def boxes(self) -> Tensor:
        """Boxes (B, R, 4): x1, y1, x2, y2 in network-input pixels, inside the image."""
        return self.second.boxes()

    def logits(self) -> Tensor:
        """Log-odds (B, R) of both stages together; anything where there was no proposal."""
        return self.first_logits + self.second.log_odds()

    def scores(self) -> Tensor:
        """Scores (B, R), 0 to 1; 0 where there was no proposal."""
        return self.logits().sigmoid() * self.proposals.valid

    def landmark_points(self) -> Tensor | None:
        """Landmarks (B, R, 5, 2): x, y in network-input pixels; None if the head has none."""
        return self.landmarks


class ProbabilisticTwoStageHead(nn.Module):
    """See `ProbabilisticTwoStageHeadSpec`."""

    def __init__(self, spec: ProbabilisticTwoStageHeadSpec, in_channels: list[int]) -> None:
        super().__init__()
        self.spec = spec
        self.first = DenseHead(spec.first, in_channels[spec.finer :])
        self.roi = RoIHead(spec.roi, in_channels[0])

    def forward(self, maps: list[Tensor]) -> ProbabilisticPredictions:
        """Raw predictions from feature maps (B, C, H, W), one per level and finest first."""
        strides = self.spec.level_strides
        found = self.first(maps[self.spec.finer :])
        sides = image_sides(strides[0], maps[0])
        proposals, logits, landmarks = self._propose(found, sides)
        return ProbabilisticPredictions(
            first=found,
            proposals=proposals,
            first_logits=logits,
            landmarks=landmarks,
            second=self.roi(maps, strides, proposals.boxes, proposals.valid, sides),
        )

    @torch.no_grad()
    def _propose(
        self, found: DensePredictions, sides: Tensor
    ) -> tuple[Proposals, Tensor, Tensor | None]:
        """The best boxes, their log-odds and landmarks, without gradients."""
        spec = self.spec
        limits = spec.loss if self.training else spec.proposals
        logits = found.class_logits
        if found.centerness_logits is not None:
            logits = torch.logit(found.scores().float(), eps=1e-6)
        best, places = best_scores(logits, limits.pre_nms_topk)
        boxes = clipped(at(found.boxes(), places), sides)
        boxes, kept = unhidden(boxes, best, spec.proposals, training=self.training)
        proposals, chosen = best_proposals(boxes, best, kept, limits.post_nms_topk)
        points = found.landmark_points()
        if points is not None:
            points = rows(at(points.flatten(2), places), chosen)
            points = points.reshape(*chosen.shape, NUM_LANDMARKS, 2)
        return proposals, best.gather(1, chosen), points
