"""The schema of `architecture`: a network as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, Protocol, Self, runtime_checkable

from pydantic import Field, model_validator

from .spec import Fraction, PositiveFloat, PositiveInt, Spec

GROUPS = 16
"""Groups of a group normalisation."""

Channels = Annotated[int, Field(gt=0, le=4096)]
"""Small networks have a tenth of the limit; ten times as many fit into no memory."""

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
        width: Multiplies all channels.
        outputs: The feature maps taken, by their channels at width 1; strides 4, 8, 16, 32.
        expand_first: The first block, of expansion 1, has a 1x1 convolution before its depthwise
            one too. Not so in the paper, but in the published detectors.
    """

    type: Literal["mobilenet_v2"]
    width: Annotated[float, Field(gt=0, le=8)] = 1.0
    outputs: Annotated[list[Literal[24, 32, 96, 320]], Field(min_length=1)]
    expand_first: bool = False

    @property
    def strides(self) -> list[int]:
        """Of the outputs."""
        return [{24: 4, 32: 8, 96: 16, 320: 32}[channels] for channels in self.outputs]


class ShuffleNetV2Spec(Spec):
    """ShuffleNetV2 (Ma et al. 2018) 1.0; stages of 116, 232 and 464 channels."""

    type: Literal["shufflenet_v2"]
    outputs: Annotated[list[Literal[116, 232, 464]], Field(min_length=1)]

    @property
    def strides(self) -> list[int]:
        """Of the outputs."""
        return [{116: 8, 232: 16, 464: 32}[channels] for channels in self.outputs]


class ResNetSpec(Spec):
    """ResNet (He et al. 2015) with bottleneck blocks; outputs strides 4, 8, 16, 32."""

    type: Literal["resnet"]
    depth: Literal[50, 101, 152]

    @property
    def strides(self) -> list[int]:
        """Of the outputs."""
        return [4, 8, 16, 32]


class StageSpec(Spec):
    """A strided 3x3 convolution to `channels`, then `blocks` residual blocks of two 3x3."""

    channels: Channels
    blocks: Layers

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`."""
        return self.model_copy(update={"channels": narrower(self.channels)})


class PlainSpec(Spec):
    """Narrow convolutions, the dense ones made for int8. Stage i has stride 2 ** (i + 2).

    The feature maps of all stages but the first (strides 8, 16, …) are the outputs.
    `separable`: each 3x3 of the residual blocks as a 1x1 and a depthwise 3x3 one, which for the
    same operations can be far wider, and which int8 makes less faster.
    """

    type: Literal["plain"]
    stem_channels: Channels
    stages: Annotated[list[StageSpec], Field(min_length=2, max_length=4)]
    separable: bool = False

    @property
    def strides(self) -> list[int]:
        """Of the outputs."""
        return [2 ** (index + 2) for index in range(1, len(self.stages))]

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`."""
        stages = [stage.narrowed(narrower) for stage in self.stages]
        return self.model_copy(
            update={"stem_channels": narrower(self.stem_channels), "stages": stages}
        )


class ValidSpec(Spec):
    """3x3 convolutions without padding, each with ReLU: the classic small classifier."""

    type: Literal["valid"]
    channels: Annotated[list[Channels], Field(min_length=1)]

    @property
    def strides(self) -> list[int]:
        """Of the output."""
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
        channels: Of every output map.
        levels: Number of output maps; beyond the backbone's they come by strided convolutions.
        context: Adds a context module (after SSH, Najibi et al. 2017) behind every level.
        batch_norm: Normalise (and activate) after each convolution.
        separable: The 3x3 convolutions behind the sums as 1x1 and depthwise ones.
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


class AnchorLevelSpec(Spec):
    """Anchors of one SSD level: stride and paired widths and heights in input pixels."""

    stride: PositiveInt
    widths: Annotated[list[PositiveFloat], Field(min_length=1)]
    heights: list[PositiveFloat]

    @model_validator(mode="after")
    def _paired(self) -> AnchorLevelSpec:
        if len(self.widths) != len(self.heights):
            raise ValueError(f"{len(self.widths)} widths but {len(self.heights)} heights")
        return self


class SSDHeadSpec(Spec):
    """SSD (Liu et al. 2016) head of depthwise 3x3 + 1x1, one pair of branches per level."""

    type: Literal["ssd"]
    anchors: list[AnchorLevelSpec]
    variances: tuple[PositiveFloat, PositiveFloat] = (0.1, 0.2)
    positive_iou: Fraction = 0.4
    negative_ratio: PositiveInt = 3

    @property
    def level_strides(self) -> list[int]:
        """One per level."""
        return [level.stride for level in self.anchors]


class DenseLossSpec(Spec):
    """Assignment and losses of a dense (anchor-point) head.

    Args:
        assigner: `center_sampling` (FCOS, Tian et al. 2019), `atss` (Zhang et al. 2020) or
            `simota` (YOLOX, Ge et al. 2021), which goes by what the network predicts so far.
        classification: `focal` (gamma 2, alpha .25) or `quality_focal` (Li et al. 2020, beta 2).
        box: `iou`, `giou`, `diou` or `eiou`.
        box_weighting: What weighs the box and landmark losses of a cell: its own `confidence`, as
            GFL does (Li et al. 2020), or its `centerness` in its face, as FCOS does; by default
            the former with quality focal loss, the latter with focal loss.
        top_k: ATSS candidates per level.
        min_cells: Of ATSS. A face that the paper's rule gives fewer cells takes as many of the
            nearest; 1 keeps to the paper, but for faces that it gives none.
        first_range: Of `center_sampling`, in pixels of the network input: the finest level
            learns faces whose farthest side is up to this from the cell, each next level up to
            twice as far. The paper's 64 is for photos of 800 pixels on their short side; smaller
            inputs want it smaller in proportion.
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


class DenseHeadSpec(Spec):
    """One prediction per grid cell: class, box distances, optional centre-ness and landmarks.

    Args:
        strides: One per level.
        channels: Of the convolutions of a tower.
        tower: Number of 3x3 convolutions before the predictions.
        shared: One set of weights for all levels, and separate towers for class and box (FCOS);
            else each level has one tower of its own for both.
        norm: Normalisation in the tower.
        separable: The tower's 3x3 convolutions as 1x1 and depthwise ones, and predictions by 1x1.
        centerness: Adds the centre-ness branch; score = sqrt(class x centre-ness).
        landmarks: Adds five points.
        anchor_scale: Side of the square anchor of ATSS, in strides.
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
        """One per level."""
        return self.strides

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`."""
        return self.model_copy(update={"channels": narrower(self.channels)})


class ClassesHeadSpec(Spec):
    """One answer for the whole image: global average of the last map, then dense layers.

    Args:
        classes: Number of labels.
        hidden: Units of a dense layer with ReLU in between; none by default.
        dropout: Before the last layer.
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
"""Keys of heads that change no weight's shape or meaning."""

_Std = Annotated[float, Field(ge=1e-3)]
"""Of pixels of 0 to 255: float32 can divide by it."""


class ArchitectureSpec(Spec):
    """A network: normalisation of raw 0-255 BGR, backbone, neck, head."""

    mean: tuple[float, float, float]
    std: tuple[_Std, _Std, _Std]
    colour: Literal["BGR", "RGB"]
    backbone: Backbone
    neck: FPNSpec | None = None
    head: Head

    def makes_same_network(self, other: ArchitectureSpec) -> bool:
        """Whether weights of one fit the other: they may learn, or have learnt, by other losses."""
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
        """Whether an image of this size, pixels, is large enough for all layers.

        Raises:
            ValueError: It is not.
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
