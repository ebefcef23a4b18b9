"""The schema of `architecture`: a network as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, Protocol, Self, runtime_checkable

from pydantic import Field, model_validator

from .spec import Fraction, PositiveFloat, PositiveInt, Spec

GROUPS = 16
"""The number of groups that a group normalisation splits the channels into."""

Channels = Annotated[int, Field(gt=0, le=4096)]
"""The number of channels of a layer.

Small networks have at most a tenth of the limit; layers of ten times the limit fit no memory.
"""

Layers = Annotated[int, Field(ge=0, le=64)]

Narrower = Callable[[int], int]
"""Tells how many channels a layer keeps of those it has."""


@runtime_checkable
class Narrowable(Protocol):
    """A part of an architecture whose channels are keys of its own."""

    def narrowed(self, narrower: Narrower) -> Self:
        """A copy in which each number of channels is what `narrower` makes of it."""


# Backbones -----------------------------------------------------------------------------------


class MobileNetV2Spec(Spec):
    """MobileNetV2 (Sandler et al. 2018) without its last 1x1 convolution.

    Args:
        width: The factor by which all numbers of channels are multiplied.
        outputs: The feature maps that the backbone gives, each named by its number of channels
            at width 1; their strides are 4, 8, 16 and 32.
        expand_first: Whether the first block, whose expansion is 1, has a 1x1 convolution before
            its depthwise one, like all others. The published detectors have it, the paper has not.
    """

    type: Literal["mobilenet_v2"]
    width: Annotated[float, Field(gt=0, le=8)] = 1.0
    outputs: Annotated[list[Literal[24, 32, 96, 320]], Field(min_length=1)]
    expand_first: bool = False

    @property
    def strides(self) -> list[int]:
        """The strides of the feature maps that it gives."""
        return [{24: 4, 32: 8, 96: 16, 320: 32}[channels] for channels in self.outputs]


class ShuffleNetV2Spec(Spec):
    """ShuffleNetV2 (Ma et al. 2018) 1.0, with stages of 116, 232 and 464 channels.

    Args:
        outputs: The feature maps that the backbone gives, each named by its number of channels.
    """

    type: Literal["shufflenet_v2"]
    outputs: Annotated[list[Literal[116, 232, 464]], Field(min_length=1)]

    @property
    def strides(self) -> list[int]:
        """The strides of the feature maps that it gives."""
        return [{116: 8, 232: 16, 464: 32}[channels] for channels in self.outputs]


class ResNetSpec(Spec):
    """ResNet (He et al. 2015) with bottleneck blocks; gives maps of strides 4, 8, 16 and 32.

    Args:
        depth: The number of layers in the paper's name of the network.
    """

    type: Literal["resnet"]
    depth: Literal[50, 101, 152]

    @property
    def strides(self) -> list[int]:
        """The strides of the feature maps that it gives."""
        return [4, 8, 16, 32]


class StageSpec(Spec):
    """One stage of `PlainSpec`.

    Args:
        channels: What a 3x3 convolution of stride 2, the first layer, gives.
        blocks: The number of residual blocks behind it, each of two 3x3 convolutions.
    """

    channels: Channels
    blocks: Layers

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`."""
        return self.model_copy(update={"channels": narrower(self.channels)})


class PlainSpec(Spec):
    """The backbone of our own line: a stem and stages of few channels.

    Stage i has stride 2 ** (i + 2). The backbone gives the feature maps of all stages but the
    first: strides 8, 16, …

    Args:
        stem_channels: What the first convolution, of stride 2, gives.
        stages: The stages, finest first.
        separable: Whether each 3x3 convolution of the residual blocks is split into a 1x1 and a
            depthwise 3x3 one. For the same operations such a network can be far wider; int8
            speeds it up less than one of dense convolutions.
    """

    type: Literal["plain"]
    stem_channels: Channels
    stages: Annotated[list[StageSpec], Field(min_length=2, max_length=4)]
    separable: bool = False

    @property
    def strides(self) -> list[int]:
        """The strides of the feature maps that it gives."""
        return [2 ** (index + 2) for index in range(1, len(self.stages))]

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`."""
        stages = [stage.narrowed(narrower) for stage in self.stages]
        return self.model_copy(
            update={"stem_channels": narrower(self.stem_channels), "stages": stages}
        )


class ValidSpec(Spec):
    """3x3 convolutions without padding, each with ReLU: the classic small classifier.

    Args:
        channels: What each of the convolutions gives.
    """

    type: Literal["valid"]
    channels: Annotated[list[Channels], Field(min_length=1)]

    @property
    def strides(self) -> list[int]:
        """The stride of the one feature map that it gives."""
        return [1]

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`."""
        return self.model_copy(update={"channels": [narrower(one) for one in self.channels]})


Backbone = Annotated[
    MobileNetV2Spec | ShuffleNetV2Spec | ResNetSpec | PlainSpec | ValidSpec,
    Field(discriminator="type"),
]

# Necks ---------------------------------------------------------------------------------------


class FPNSpec(Spec):
    """Feature pyramid (Lin et al. 2017).

    Args:
        channels: The number of channels of every feature map that the pyramid gives.
        levels: The number of those maps. Where the backbone gives fewer, convolutions of stride
            2 make the others, each from the map before.
        context: Whether a context module (after SSH, Najibi et al. 2017) follows each level.
        batch_norm: Whether batch normalisation and ReLU follow each convolution.
        separable: Whether each 3x3 convolution behind the sums is split into a 1x1 and a
            depthwise 3x3 one.
    """

    type: Literal["fpn"]
    channels: Channels
    levels: PositiveInt
    context: bool = False
    batch_norm: bool = False
    separable: bool = False

    @model_validator(mode="after")
    def _divisible(self) -> FPNSpec:
        if self.context and self.channels % 4:
            raise ValueError(f"context wants channels in fours (found {self.channels})")
        return self

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`."""
        return self.model_copy(update={"channels": narrower(self.channels)})


# Heads and their losses ------------------------------------------------------------------------


class HeadSpec(Spec):
    """What all heads say.

    Attributes:
        impossible_formats: Formats of `export.EXPORTERS` that cannot hold such a head, and why.
    """

    impossible_formats: ClassVar[dict[str, str]] = {}


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
        landmarks: Whether five points of the face are predicted.
        anchor_scale: The side of the square anchor of `atss`, in strides.
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
    landmarks: bool = False
    anchor_scale: PositiveFloat = 8.0
    loss: DenseLossSpec

    @model_validator(mode="after")
    def _divisible(self) -> DenseHeadSpec:
        if self.norm == "group" and self.channels % GROUPS:
            raise ValueError(f"norm 'group' wants channels in {GROUPS}s (found {self.channels})")
        if self.loss.assigner != "atss" and "anchor_scale" in self.model_fields_set:
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


Head = Annotated[SSDHeadSpec | DenseHeadSpec | ClassesHeadSpec, Field(discriminator="type")]


_OF_LOSSES = {"loss", "anchor_scale", "positive_iou", "negative_ratio", "dropout"}
"""Keys of heads that matter in training alone: no weight has another shape or meaning by them."""

_Std = Annotated[float, Field(ge=1e-3)]
"""A standard deviation of pixels of 0 to 255, large enough for float32 to divide by."""


class ArchitectureSpec(Spec):
    """A network: normalisation of the image, backbone, neck and head.

    Args:
        mean: What is subtracted from the three channels of an image of 0 to 255.
        std: What they are then divided by.
        colour: The order of the channels that the backbone takes; images come as BGR.
    """

    mean: tuple[float, float, float]
    std: tuple[_Std, _Std, _Std]
    colour: Literal["BGR", "RGB"]
    backbone: Backbone
    neck: FPNSpec | None = None
    head: Head

    def impossible_formats(self) -> dict[str, str]:
        """Formats that cannot hold such a network, and why: those of its head."""
        return dict(self.head.impossible_formats)

    def makes_same_network(self, other: ArchitectureSpec) -> bool:
        """Whether weights of one fit the other; their losses may differ."""
        losses = {"head": _OF_LOSSES}
        return self.model_dump(exclude=losses) == other.model_dump(exclude=losses)

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`; a part without keys for channels stays as it is."""
        parts = {"backbone": self.backbone, "neck": self.neck, "head": self.head}
        return self.model_copy(
            update={
                key: part.narrowed(narrower) if isinstance(part, Narrowable) else part
                for key, part in parts.items()
            }
        )

    def check_room(self, height: int, width: int) -> None:
        """Check that an image of this size, in pixels, is large enough for all layers.

        Raises:
            ValueError: It is too small.
        """
        if isinstance(self.backbone, ValidSpec):
            layers, deepest = len(self.backbone.channels), (min(height, width) - 1) // 2
            if layers > deepest:
                raise ValueError(
                    f"architecture.backbone.channels: {layers} layers, each of which takes two "
                    f"pixels away; the input has room for {deepest}"
                )

    @model_validator(mode="after")
    def _strides_meet(self) -> ArchitectureSpec:
        given = list(self.backbone.strides)
        if given != sorted(set(given)):
            raise ValueError(f"backbone outputs must be finest first, each once: strides {given}")
        if isinstance(self.head, ClassesHeadSpec):
            if self.neck is not None:
                raise ValueError("a head of type 'classes' takes no neck")
            return self
        if isinstance(self.backbone, ValidSpec):
            raise ValueError(
                "backbone 'valid' is for a head of type 'classes': its map has no cells"
            )
        if self.neck is not None:
            if self.neck.levels < len(given):
                raise ValueError(
                    f"neck.levels is {self.neck.levels}, but the backbone has {len(given)} outputs"
                )
            while len(given) < self.neck.levels:
                given.append(given[-1] * 2)
        if self.head.level_strides != given:
            raise ValueError(
                f"the head has strides {self.head.level_strides}, "
                f"but the feature maps that reach it have {given}"
            )
        return self
