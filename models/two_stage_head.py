"""The head of Faster R-CNN (Ren et al. 2015; Lin et al. 2017): proposals, then their RoIs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..model_templates.anchor_heads import TwoStageHeadSpec
from .proposals import Proposals
from .roi_head import RoIHead, RoIPredictions, Sampler
from .rpn import RPN, RPNPredictions


@dataclass(frozen=True, eq=False)
class TwoStagePredictions:
    """Raw predictions of both stages.

    Attributes:
        rpn: Of the first stage.
        proposals: What it found.
        second: Of the second stage: of the proposals, or in training of what was sampled.
    """

    rpn: RPNPredictions
    proposals: Proposals
    second: RoIPredictions

    def boxes(self) -> Tensor:
        """Boxes (B, R, 4): x1, y1, x2, y2 in network-input pixels, inside the image."""
        return self.second.boxes()

    def scores(self) -> Tensor:
        """Scores (B, R), 0 to 1: the softmax of the face; 0 where there was no proposal."""
        return self.second.scores() * self.proposals.valid

    def landmark_points(self) -> Tensor | None:
        """None: this head has no landmarks."""
        return None


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
        rois, valid = proposals.boxes, proposals.valid
        if sampler is not None:
            rois = sampler(proposals)
            valid = (rois[..., 2:] > rois[..., :2]).all(-1)  # zeros fill up
        second = self.roi(maps, spec.level_strides, rois, valid, found.sides)
        return TwoStagePredictions(rpn=found, proposals=proposals, second=second)
