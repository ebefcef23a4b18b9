"""The schema of `architecture.head`: one class for each kind, and how it learns."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .anchor_heads import RetinaHeadSpec, TwoStageHeadSpec
from .channels import Channels, Layers, Narrower
from .dense_heads import DenseHeadSpec, ProbabilisticTwoStageHeadSpec
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
    | ProbabilisticTwoStageHeadSpec
    | ClassesHeadSpec
    | UNetHeadSpec
    | ASPPHeadSpec
    | EmbeddingHeadSpec,
    Field(discriminator="type"),
]
