"""A dense head, and a second look at its boxes (Zhou et al. 2021, https://arxiv.org/abs/2103.07461).

The paper's first stage says how likely a face is there at all, the second one how likely what is
there is a face; the score is made of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..model_templates.dense_heads import ProbabilisticTwoStageHeadSpec
from .anchors import clipped, image_sides
from .dense_head import NUM_LANDMARKS, DenseHead, DensePredictions
from .proposals import Proposals, at, best_proposals, best_scores, unhidden
from .roi_head import RoIHead, Sampler, SecondLook


@dataclass(frozen=True, eq=False)
class ProbabilisticPredictions:
    """Raw predictions of both stages.

    Attributes:
        first: Of the first stage.
        proposals: Its best boxes.
        first_scores: (B, R), 0 to 1: what it says of them.
        landmarks: (B, R, 5, 2): x, y in network-input pixels; None if it has none.
        second: Of the second stage: of the proposals, or in training of what was sampled.
    """

    first: DensePredictions
    proposals: Proposals
    first_scores: Tensor
    landmarks: Tensor | None
    second: SecondLook

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
        scores, places = best_scores(found.scores(), limits.pre_nms_topk)
        boxes, kept = unhidden(clipped(at(found.boxes(), places), sides), scores, spec.proposals)
        proposals, chosen = best_proposals(boxes, scores, kept, limits.post_nms_topk)
        scores = scores.gather(1, chosen).clamp(min=0)  # there may have been fewer boxes
        points = found.landmark_points()
        if points is not None:
            points = at(at(points.flatten(2), places), chosen)
            points = points.reshape(*chosen.shape, NUM_LANDMARKS, 2)
        return proposals, scores, points
