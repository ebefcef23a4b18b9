"""The schema of `architecture.head`: one class for each kind, and how it learns."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .anchor_heads import RetinaHeadSpec, TwoStageHeadSpec
from .channels import GROUPS, Channels, Layers, Narrower
from .embedding_head import EmbeddingHeadSpec
from .head_spec import HeadSpec
from .spec import Fraction, PositiveFloat, PositiveInt, Spec


class AnchorLevelSpec(Spec):
    """The anchors of one SSD level.

    Args:
        stride: The distance of neighbouring cells, in pixels of the network input.
        widths: The widths of the anchors of a cell, in the same pixels.
        heights: Their heights, in the same order.
    """

    stride: PositiveInt
    widths: Annotated[list[PositiveFloat], Field(min_length=1)]
    heights: list[PositiveFloat]

    @model_validator(mode="after")
    def _paired(self) -> AnchorLevelSpec:
        if len(self.widths) != len(self.heights):
            raise ValueError(f"{len(self.widths)} widths but {len(self.heights)} heights")
        return self


class SSDHeadSpec(HeadSpec):
    """SSD head (Liu et al. 2016): for each level, one branch for classes and one for boxes.

    A branch is a depthwise 3x3 convolution and a 1x1 one.

    Args:
        anchors: The levels, finest first.
        variances: What predicted centres and sizes are multiplied by when they are decoded.
        positive_iou: An anchor that overlaps a face by this IoU or more learns to find it.
        negative_ratio: How many anchors without a face are learnt for each anchor with one.
    """

    type: Literal["ssd"]
    anchors: list[AnchorLevelSpec]
    variances: tuple[PositiveFloat, PositiveFloat] = (0.1, 0.2)
    positive_iou: Fraction = 0.4
    negative_ratio: PositiveInt = 3

    @property
    def level_strides(self) -> list[int]:
        """The stride of each level."""
        return [level.stride for level in self.anchors]


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

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`."""
        return self.model_copy(update={"channels": narrower(self.channels)})


class ClassesHeadSpec(HeadSpec):
    """One answer for the whole image: the average of the last feature map, then dense layers.

    Args:
        classes: The number of labels.
        hidden: The units of a dense layer with ReLU before the last one; by default there is none.
        dropout: The share of its inputs that the last layer misses in training.
    """

    type: Literal["classes"]
    classes: Annotated[int, Field(ge=2)]
    hidden: Channels | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`."""
        if self.hidden is None:
            return self
        return self.model_copy(update={"hidden": narrower(self.hidden)})


class MaskLossSpec(Spec):
    """The losses of a mask; each number is a factor, 0 leaves the loss out.

    Args:
        cross_entropy: Of each pixel: binary for one class.
        dice: 1 - soft Dice of each class over the batch (Milletari et al. 2016).
        boundary: Cross-entropy of the pixels nearer than `boundary_width` to a border of the truth.
        boundary_width: In pixels of the network input.
    """

    cross_entropy: Annotated[float, Field(ge=0)] = 1.0
    dice: Annotated[float, Field(ge=0)] = 0.0
    boundary: Annotated[float, Field(ge=0)] = 0.0
    boundary_width: PositiveInt = 3

    @model_validator(mode="after")
    def _teaches(self) -> MaskLossSpec:
        if not self.cross_entropy + self.dice + self.boundary:
            raise ValueError("all losses are 0: expected one above it")
        return self


class MaskHeadSpec(HeadSpec):
    """A logit of each class for every pixel of the input.

    Args:
        classes: The number of classes; 1 is one class against everything else.
        stride: The stride of the logits, which are then enlarged to the input's size.
        loss: How it learns.
    """

    classes: PositiveInt
    stride: PositiveInt
    loss: MaskLossSpec = MaskLossSpec()


class UNetHeadSpec(MaskHeadSpec):
    """The decoder of a U-Net (Ronneberger et al. 2015) over a backbone's feature maps.

    Each stage enlarges what comes from the coarser one to the size of the next finer map, and joins
    both.

    Args:
        channels: What each stage gives, coarsest first: one stage less than the backbone has maps.
        skips: How two maps are joined: `concat` puts their channels together; `add` brings both to
            the stage's channels by 1x1 convolutions, and adds them.
        convolutions: The number of 3x3 convolutions of each stage.
    """

    type: Literal["unet"]
    channels: Annotated[list[Channels], Field(min_length=1)]
    skips: Literal["concat", "add"] = "concat"
    convolutions: Annotated[Layers, Field(gt=0)] = 2

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`."""
        return self.model_copy(update={"channels": [narrower(one) for one in self.channels]})


class ASPPHeadSpec(MaskHeadSpec):
    """Atrous spatial pyramid pooling, of the coarsest map alone: DeepLabV3 (Chen et al. 2017).

    Args:
        channels: What each branch, and the convolution behind all of them, gives.
        rates: The dilation of each 3x3 branch; the paper's 12, 24, 36 are for stride 8, half of
            them for 16. There are a 1x1 branch and one of the map's average besides.
        dropout: The share of their joined channels that training leaves out.
    """

    type: Literal["aspp"]
    channels: Channels = 256
    rates: Annotated[list[PositiveInt], Field(min_length=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5


Head = Annotated[
    SSDHeadSpec
    | DenseHeadSpec
    | RetinaHeadSpec
    | TwoStageHeadSpec
    | ClassesHeadSpec
    | UNetHeadSpec
    | ASPPHeadSpec
    | EmbeddingHeadSpec,
    Field(discriminator="type"),
]

OF_LOSSES = {"loss", "anchor_scale", "positive_iou", "negative_ratio", "dropout"}
"""Keys of heads that matter in training alone: no weight has another shape or meaning by them."""
