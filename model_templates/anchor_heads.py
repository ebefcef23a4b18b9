"""The schemas of heads that correct anchors: RetinaNet's, and those of two stages."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from .channels import Channels, Layers
from .head_spec import HeadSpec
from .spec import Fraction, PositiveFloat, PositiveInt, Spec

NonNegativeFloat = Annotated[float, Field(ge=0)]


class AnchorsSpec(Spec):
    """Boxes of each cell, the same for all cells of a level.

    Args:
        strides: The distance of neighbouring cells of each level, in pixels of the network input,
            finest level first.
        sizes: Of each level the sides of square anchors, in the same pixels.
        aspect_ratios: Height / width. Each size comes in each ratio, with the same area: all
            ratios of the first size first.
        offset: Where in its cell an anchor's centre lies, as a share of the stride: 0 is the top
            left corner, 0.5 the middle.
        rounded: Whether half widths and heights are rounded to whole pixels, as torchvision does.
    """

    strides: Annotated[list[PositiveInt], Field(min_length=1)]
    sizes: list[Annotated[list[PositiveFloat], Field(min_length=1)]]
    aspect_ratios: Annotated[list[PositiveFloat], Field(min_length=1)]
    offset: Fraction = 0.0
    rounded: bool = False

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.sizes) != len(self.strides):
            raise ValueError(f"{len(self.sizes)} lists of sizes but {len(self.strides)} strides")
        if len({len(sizes) for sizes in self.sizes}) > 1:
            raise ValueError("all levels share their layers: expected as many sizes on each")
        return self

    @property
    def for_each_cell(self) -> int:
        """The number of anchors of a cell."""
        return len(self.sizes[0]) * len(self.aspect_ratios)


class RetinaLossSpec(Spec):
    """Assignment and losses of RetinaNet (Lin et al. 2017).

    Args:
        negative_iou: An anchor that overlaps no face by this IoU learns to find none.
        positive_iou: One that overlaps a face by this IoU or more learns to find it; those in
            between learn nothing.
        alpha: Of the focal loss: the weight of anchors with a face; of the others it is 1 - alpha.
        gamma: Of the focal loss: the power by which easy anchors lose weight.
        smooth_l1_beta: Where the loss of a delta turns from a parabola into a line; 0 is L1.
    """

    negative_iou: Fraction = 0.4
    positive_iou: Fraction = 0.5
    alpha: Fraction = 0.25
    gamma: NonNegativeFloat = 2.0
    smooth_l1_beta: NonNegativeFloat = 0.1

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.negative_iou > self.positive_iou:
            raise ValueError(
                f"negative_iou is {self.negative_iou:g}: expected at most positive_iou, "
                f"{self.positive_iou:g}"
            )
        return self


class RetinaHeadSpec(HeadSpec):
    """RetinaNet's head (Lin et al. 2017): two towers that all levels share.

    Args:
        anchors: The boxes that it corrects.
        tower: The number of 3x3 convolutions with ReLU before each prediction.
        variances: What predicted centres and sizes are multiplied by when they are decoded; the
            reciprocals of what others call box-coding weights.
        loss: How it learns.
    """

    type: Literal["retina"]
    anchors: AnchorsSpec
    tower: Annotated[Layers, Field(gt=0)] = 4
    variances: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    loss: RetinaLossSpec = RetinaLossSpec()

    @property
    def level_strides(self) -> list[int]:
        """The stride of each level."""
        return self.anchors.strides


class ProposalsSpec(Spec):
    """Which boxes of a first stage the second one looks at.

    Args:
        pre_nms_topk: The most boxes that enter NMS, those of the best scores: of each level of an
            RPN, of all levels together of a dense head.
        post_nms_topk: The number of boxes that the second stage looks at. It is the number of
            boxes of the network's answer.
        nms_threshold: IoU above which NMS, of an RPN's levels each alone, keeps only the better of
            two.
        min_size: Boxes with a side that is not above this many pixels are dropped.
        min_score: Boxes whose score by the first stage is not above this are dropped, but not in
            training. The time of the second stage is that of the boxes that are left.
    """

    pre_nms_topk: PositiveInt = 1000
    post_nms_topk: PositiveInt = 1000
    nms_threshold: Annotated[float, Field(gt=0, le=1)] = 0.7
    min_size: NonNegativeFloat = 0.0
    min_score: Annotated[float, Field(ge=0, lt=1)] = 0.0


class RPNSpec(ProposalsSpec):
    """The region proposal network (Ren et al. 2015), one for all levels.

    Args:
        anchors: The boxes that it corrects.
        variances: See `RetinaHeadSpec`.
    """

    anchors: AnchorsSpec
    variances: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)

    @model_validator(mode="after")
    def _are_enough(self) -> Self:
        most = self.pre_nms_topk * len(self.anchors.strides)
        if self.post_nms_topk > most:
            raise ValueError(
                f"post_nms_topk is {self.post_nms_topk}: expected at most {most}, "
                f"pre_nms_topk of {len(self.anchors.strides)} levels"
            )
        return self


class RoIHeadSpec(Spec):
    """The second stage (Girshick 2015; Lin et al. 2017, section 4.2): looks at each proposal.

    Args:
        levels: How many maps, finest first, it takes its crops from.
        canonical_size: Proposals whose area has this root, in pixels, come from the map of
            `canonical_level`; each time as large, from the next coarser one.
        canonical_level: The level as in P4, whose stride is 16.
        context: How many times as wide and high as its proposal a crop is.
        resolution: The side of a crop, in cells.
        sampling_ratio: How many points along each side of a crop's cell are averaged (RoIAlign, He
            et al. 2017); 0 takes as many as the cell has pixels of the map.
        aligned: Whether crops are taken half a pixel further up and left, where they belong.
        fc: The units of each dense layer with ReLU.
        variances: See `RetinaHeadSpec`.
    """

    levels: PositiveInt
    canonical_size: PositiveFloat = 224.0
    canonical_level: PositiveInt = 4
    context: Annotated[float, Field(ge=1, le=8)] = 1.0
    resolution: Annotated[int, Field(gt=0, le=64)] = 7
    sampling_ratio: Annotated[int, Field(ge=0, le=16)] = 0
    aligned: bool = True
    fc: Annotated[list[Channels], Field(min_length=1)]
    variances: tuple[PositiveFloat, PositiveFloat] = (0.1, 0.2)


class RoILossSpec(Spec):
    """Assignment and losses of the second stage.

    Args:
        pre_nms_topk: As that of `ProposalsSpec`, in training.
        post_nms_topk: As that of `ProposalsSpec`, in training.
        roi_iou: A proposal that overlaps a face by this IoU or more learns to find it; the others
            learn to find none.
        smooth_l1_beta: Where the loss of a delta turns from a parabola into a line; 0 is L1.
    """

    pre_nms_topk: PositiveInt = 2000
    post_nms_topk: PositiveInt = 1000
    roi_iou: Fraction = 0.5
    smooth_l1_beta: NonNegativeFloat = 0.0


class TwoStageLossSpec(RoILossSpec):
    """The same with sampling and an RPN, as Detectron2 has them.

    The deltas of both stages have the same `smooth_l1_beta`.

    Args:
        roi_samples: The number of proposals of each image that learn.
        roi_positives: The largest share of those with a face.
        rpn_negative_iou: An anchor that overlaps no face by this IoU learns to find none.
        rpn_positive_iou: One that overlaps a face by this IoU or more learns to find it.
        rpn_samples: The number of anchors of each image that learn.
        rpn_positives: The largest share of those with a face.
    """

    roi_samples: PositiveInt = 512
    roi_positives: Fraction = 0.25
    rpn_negative_iou: Fraction = 0.3
    rpn_positive_iou: Fraction = 0.7
    rpn_samples: PositiveInt = 256
    rpn_positives: Fraction = 0.5

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.rpn_negative_iou > self.rpn_positive_iou:
            raise ValueError(
                f"rpn_negative_iou is {self.rpn_negative_iou:g}: expected at most "
                f"rpn_positive_iou, {self.rpn_positive_iou:g}"
            )
        return self


_NO_ROI_ALIGN = "a head of two stages crops feature maps (RoIAlign), which it has no layer for"


class StagesHeadSpec(HeadSpec):
    """Proposals, and a second stage that looks at each of them.

    Args:
        roi: The second stage.
        loss: How it learns.
    """

    impossible_formats: ClassVar[dict[str, str]] = dict.fromkeys(
        ("coreml", "litert", "tensorflow"), _NO_ROI_ALIGN
    )
    ranked: ClassVar[bool] = True
    not_quantized_in_training: ClassVar[str | None] = (
        "has a head of two stages, which NNCF cannot follow in training"
    )

    roi: RoIHeadSpec
    loss: RoILossSpec = RoILossSpec()

    def check_levels(self, strides: list[int]) -> None:
        """Check that maps of these strides have the levels that crops are taken from.

        Raises:
            ValueError: They are fewer.
        """
        if self.roi.levels > len(strides):
            raise ValueError(
                f"roi.levels is {self.roi.levels}: expected at most {len(strides)}, those that "
                "reach the head"
            )


class TwoStageHeadSpec(StagesHeadSpec):
    """Faster R-CNN's head.

    Args:
        rpn: The first stage.
    """

    type: Literal["two_stage"]
    rpn: RPNSpec
    loss: TwoStageLossSpec = TwoStageLossSpec()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.check_levels(self.level_strides)
        most = self.loss.pre_nms_topk * len(self.rpn.anchors.strides)
        if self.loss.post_nms_topk > most:
            raise ValueError(
                f"loss.post_nms_topk is {self.loss.post_nms_topk}: expected at most {most}"
            )
        return self

    @property
    def level_strides(self) -> list[int]:
        """The stride of each level."""
        return self.rpn.anchors.strides

    def of_network(self) -> dict[str, Any]:
        """See `HeadSpec`; weights mean the same whichever boxes are looked at."""
        which = set(ProposalsSpec.model_fields)
        return super().of_network() | {"rpn": self.rpn.model_dump(exclude=which)}
