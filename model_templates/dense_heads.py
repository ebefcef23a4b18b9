"""The schemas of dense heads: alone, and as the first of two stages."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from .anchor_heads import ProposalsSpec, StagesHeadSpec
from .channels import GROUPS, Channels, Layers, Narrower
from .head_spec import HeadSpec
from .spec import PositiveFloat, PositiveInt, Spec


class DenseLossSpec(Spec):
    """Assignment and losses of a dense (anchor-point) head.

    Args:
        assigner: Which cells learn which face: `center_sampling` (FCOS, Tian et al. 2019), `atss`
            (Zhang et al. 2020) or `simota` (YOLOX, Ge et al. 2021), which decides by what the
            network predicts so far.
        classification: The loss of the class: `focal` (gamma 2, alpha .25) or `quality_focal`
            (Li et al. 2020, beta 2).
        box: The loss of the box: `iou`, `giou`, `diou` or `eiou`.
        box_weight: The factor of the box loss.
        box_weighting: What weighs the box and landmark losses of a cell: its own `confidence`, as
            in GFL (Li et al. 2020), or its `centerness` in its face, as in FCOS. By default the
            former with quality focal loss, the latter with focal loss.
        landmark_weight: The factor of the landmark loss; 0 for a head without landmarks.
        top_k: For `atss`, the number of candidate cells on each level.
        min_cells: For `atss`, the least number of cells of a face: one that the paper's rule
            gives fewer takes as many of the nearest. With 1, only faces to which the paper gives
            no cell at all are treated otherwise than there.
        first_range: For `center_sampling`, a distance in pixels of the network input. The finest
            level learns faces whose farthest side is at most so far from the cell; each next
            level learns those up to twice as far as the one before. The paper's 64 is for photos
            whose short side is 800 pixels; smaller inputs want it smaller in proportion.
    """

    assigner: Literal["center_sampling", "atss", "simota"]
    classification: Literal["focal", "quality_focal"]
    box: Literal["iou", "giou", "diou", "eiou"]
    box_weight: PositiveFloat = 1.0
    box_weighting: Literal["confidence", "centerness"] | None = None
    landmark_weight: Annotated[float, Field(ge=0)] = 0.0
    top_k: PositiveInt = 9
    min_cells: PositiveInt = 1
    first_range: PositiveFloat = 64.0

    @model_validator(mode="after")
    def _of_the_assigner(self) -> DenseLossSpec:
        own = {"atss": {"top_k", "min_cells"}, "center_sampling": {"first_range"}, "simota": set()}
        others = set().union(*own.values()) - own[self.assigner]
        for key in sorted(others & self.model_fields_set):
            raise ValueError(f"{key} is not of assigner {self.assigner!r}")
        if self.min_cells > self.top_k:
            raise ValueError(f"min_cells is {self.min_cells}: expected at most top_k, {self.top_k}")
        return self


class DenseHeadSpec(HeadSpec):
    """One prediction per grid cell: class, box distances, optional centre-ness and landmarks.

    Args:
        strides: The stride of each level, finest first.
        channels: The number of channels that each convolution of a tower gives.
        tower: The number of 3x3 convolutions in a row before the predictions.
        shared: Whether all levels share one set of weights, with one tower for the class and one
            for the box (FCOS). Otherwise each level has one tower of its own for both.
        norm: The normalisation behind each convolution of a tower.
        separable: Whether each 3x3 convolution of a tower is split into a 1x1 and a depthwise 3x3
            one, and the predictions are made by 1x1 convolutions instead of 3x3 ones.
        centerness: Whether centre-ness is predicted; the score is then
            sqrt(class x centre-ness).
        centerness_tower: Which tower centre-ness is predicted from, where the two are apart.
        landmarks: Whether five points of the face are predicted.
        box_coding: What is predicted of a box: its sides' distances from the middle of the cell in
            strides (`distance`); the logarithms of these in pixels (`log_distance`, FCOS); or the
            offset and the logarithmic size (`delta`, as SSD has them, with variances 0.1 and 0.2)
            from the square anchor of `anchor_scale` at the top left corner of the cell.
        anchor_scale: The side of the square anchor of `atss` and `delta`, in strides.
        loss: How it learns.
    """

    type: Literal["dense"]
    strides: list[PositiveInt]
    channels: Channels
    tower: Annotated[Layers, Field(gt=0)]
    shared: bool
    norm: Literal["none", "batch", "group"]
    separable: bool = False
    centerness: bool = False
    centerness_tower: Literal["boxes", "classes"] = "boxes"
    landmarks: bool = False
    box_coding: Literal["distance", "log_distance", "delta"] = "distance"
    anchor_scale: PositiveFloat = 8.0
    loss: DenseLossSpec

    @model_validator(mode="after")
    def _divisible(self) -> DenseHeadSpec:
        if self.norm == "group" and self.channels % GROUPS:
            raise ValueError(f"norm 'group' wants channels in {GROUPS}s (found {self.channels})")
        of_anchors = self.loss.assigner == "atss" or self.box_coding == "delta"
        if not of_anchors and "anchor_scale" in self.model_fields_set:
            raise ValueError(f"anchor_scale is not of assigner {self.loss.assigner!r}")
        return self

    @model_validator(mode="after")
    def _landmarks_are_learnt(self) -> DenseHeadSpec:
        if self.landmarks != (self.loss.landmark_weight > 0):
            raise ValueError(
                f"landmarks {str(self.landmarks).lower()} and loss.landmark_weight "
                f"{self.loss.landmark_weight:g} do not go together: one of the two is in vain"
            )
        return self

    @property
    def level_strides(self) -> list[int]:
        """The stride of each level."""
        return self.strides

    def of_network(self) -> dict[str, Any]:
        """See `HeadSpec`; where boxes are deltas of anchors, their size is the network's."""
        decodes = self.box_coding == "delta"
        return super().of_network() | ({"anchor_scale": self.anchor_scale} if decodes else {})

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`."""
        return self.model_copy(update={"channels": narrower(self.channels)})


class ProbabilisticTwoStageHeadSpec(StagesHeadSpec):
    """A dense head, and a second stage that looks at its best boxes (Zhou et al. 2021, CenterNet2).

    The second stage adds to the log-odds of a box's score; landmarks are those of the first.

    Args:
        first: The first stage, which learns as it does alone.
        finer: How many maps, finer than those of the first stage, the second one has beside them.
        proposals: Which of its boxes the second stage looks at.
    """

    type: Literal["probabilistic_two_stage"]
    first: DenseHeadSpec
    finer: Annotated[int, Field(ge=0, le=2)] = 0
    proposals: ProposalsSpec = ProposalsSpec()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.first.strides[0] % 2**self.finer:
            raise ValueError(
                f"finer is {self.finer}: expected a finest stride of the first stage, "
                f"{self.first.strides[0]}, that can be halved as often"
            )
        self.check_levels(self.level_strides)
        for name, spec in (("proposals", self.proposals), ("loss", self.loss)):
            if spec.post_nms_topk > spec.pre_nms_topk:
                raise ValueError(
                    f"{name}.post_nms_topk is {spec.post_nms_topk}: expected at most "
                    f"{name}.pre_nms_topk, {spec.pre_nms_topk}"
                )
        return self

    @property
    def level_strides(self) -> list[int]:
        """The stride of each level."""
        finest = self.first.strides[0]
        return [finest >> step for step in range(self.finer, 0, -1)] + self.first.strides

    def of_network(self) -> dict[str, Any]:
        """See `HeadSpec`; weights mean the same whichever boxes are looked at."""
        keys = super().of_network() | {"first": self.first.of_network()}
        del keys["proposals"]
        return keys
