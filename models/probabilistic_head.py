"""A dense head, and a second stage that looks at its best boxes.

Zhou et al. 2021 (https://arxiv.org/abs/2103.07461): the first stage says how likely anything is
there, the second one how likely what is there is a face; the score is made of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..model_templates.dense_heads import ProbabilisticTwoStageHeadSpec
from .anchors import clipped, image_sides
from .dense_head import NUM_LANDMARKS, DenseHead, DensePredictions
from .proposals import Proposals, at, best_proposals, best_scores, rows, unhidden
from .roi_head import RoIHead, RoIPredictions, Sampler


@dataclass(frozen=True, eq=False)
class ProbabilisticPredictions:
    """Raw predictions of both stages.

    Attributes:
        first: Of the first stage.
        proposals: Its best boxes.
        first_scores: (B, R), 0 to 1: what it says of them; anything where they are not valid.
        landmarks: (B, R, 5, 2): x, y in network-input pixels, likewise; None if it has none.
        second: Of the second stage: of the proposals, or in training of what was sampled.
    """

    first: DensePredictions
    proposals: Proposals
    first_scores: Tensor
    landmarks: Tensor | None
    second: RoIPredictions

    def boxes(self) -> Tensor:
        """Boxes (B, R, 4): x1, y1, x2, y2 in network-input pixels, inside the image."""
        return self.second.boxes()

    def scores(self) -> Tensor:
        """Scores (B, R), 0 to 1: the geometric mean of both; 0 where there was no proposal."""
        return (self.first_scores * self.second.scores()).sqrt() * self.proposals.valid

    def landmark_points(self) -> Tensor | None:
        """Landmarks (B, R, 5, 2): x, y in network-input pixels; None if the head has none."""
        return self.landmarks


class ProbabilisticTwoStageHead(nn.Module):
    """See `ProbabilisticTwoStageHeadSpec`."""

    def __init__(self, spec: ProbabilisticTwoStageHeadSpec, in_channels: list[int]) -> None:
        super().__init__()
        self.spec = spec
        self.first = DenseHead(spec.first, in_channels)
        self.roi = RoIHead(spec.roi, in_channels[0])

    def forward(
        self, maps: list[Tensor], sampler: Sampler | None = None
    ) -> ProbabilisticPredictions:
        """Raw predictions from feature maps, one per level and finest first.

        Args:
            maps: (B, C, H, W) each.
            sampler: Chooses among more proposals what the second stage learns from.
        """
        strides = self.spec.level_strides
        found = self.first(maps)
        sides = image_sides(strides[0], maps[0])
        proposals, scores, landmarks = self._propose(found, sides, trains=sampler is not None)
        rois = proposals.boxes if sampler is None else sampler(proposals)
        return ProbabilisticPredictions(
            first=found,
            proposals=proposals,
            first_scores=scores,
            landmarks=landmarks,
            second=self.roi(maps, strides, rois, sides),
        )

    @torch.no_grad()
    def _propose(
        self, found: DensePredictions, sides: Tensor, *, trains: bool
    ) -> tuple[Proposals, Tensor, Tensor | None]:
        """The best boxes, their scores and landmarks, without gradients."""
        spec = self.spec
        limits = spec.loss if trains else spec.proposals
        # In 16 bits many sure scores are 1.
        logits = found.class_logits if found.centerness_logits is None else found.scores()
        best, places = best_scores(logits, limits.pre_nms_topk)
        boxes, kept = unhidden(clipped(at(found.boxes(), places), sides), best, spec.proposals)
        proposals, chosen = best_proposals(boxes, best, kept, limits.post_nms_topk)
        scores = rows(at(found.scores()[..., None], places), chosen)[..., 0]
        points = found.landmark_points()
        if points is not None:
            points = rows(at(points.flatten(2), places), chosen)
            points = points.reshape(*chosen.shape, NUM_LANDMARKS, 2)
        return proposals, scores, points
