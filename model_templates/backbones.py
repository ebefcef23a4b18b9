"""The schema of `architecture.backbone`: one class for each kind."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from .channels import Channels, Layers, Narrower
from .spec import Spec


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


class EfficientNetLiteSpec(Spec):
    """EfficientNet-Lite0 (Tan & Le 2019; Liu 2020): MobileNetV2's blocks, some of 5x5.

    There is no squeeze-and-excitation, and ReLU6 in the place of swish, so that it runs on phones.

    Args:
        finest: The stride of the finest feature map that it gives; the coarsest has 32.
    """

    type: Literal["efficientnet_lite"]
    finest: Literal[2, 4, 8] = 8

    @property
    def strides(self) -> list[int]:
        """The strides of the feature maps that it gives."""
        return [stride for stride in (2, 4, 8, 16, 32) if stride >= self.finest]


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
    """ResNet (He et al. 2015) with bottleneck blocks; gives one map for each stride.

    Args:
        depth: The number of layers in the paper's name of the network.
        finest: The stride of the finest map that it gives; 2 is the stem's.
        output_stride: The stride of the coarsest. Below 32 the last stages are dilated instead of
            strided (Chen et al. 2017), and of stages with the same stride only the last gives a
            map.
        stride_in: Which convolution of a block has the stride: the paper's first 1x1, as in MSRA's
            weights, or the 3x3, as since Goyal et al. 2017.
        norm: `batch`, or `frozen`: batch normalisation whose statistics, factors and biases stay
            as they are in training.
        frozen_stages: How many stages, the stem being the first, do not learn.
    """

    type: Literal["resnet"]
    depth: Literal[50, 101, 152]
    finest: Literal[2, 4, 8] = 4
    output_stride: Literal[8, 16, 32] = 32
    stride_in: Literal["1x1", "3x3"] = "3x3"
    norm: Literal["batch", "frozen"] = "batch"
    frozen_stages: Annotated[int, Field(ge=0, le=5)] = 0

    @property
    def strides(self) -> list[int]:
        """The strides of the feature maps that it gives."""
        return [s for s in (2, 4, 8, 16, 32) if self.finest <= s <= self.output_stride]


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

    Stage i has stride 2 ** (i + 2).

    Args:
        finest: The stride of the finest feature map that the backbone gives; 2 is the stem's.
        stem_channels: What the first convolution, of stride 2, gives.
        stages: The stages, finest first.
        separable: Whether each 3x3 convolution of the residual blocks is split into a 1x1 and a
            depthwise 3x3 one. For the same operations such a network can be far wider; int8
            speeds it up less than one of dense convolutions.
    """

    type: Literal["plain"]
    finest: Literal[2, 4, 8] = 8
    stem_channels: Channels
    stages: Annotated[list[StageSpec], Field(min_length=2, max_length=4)]
    separable: bool = False

    @property
    def strides(self) -> list[int]:
        """The strides of the feature maps that it gives."""
        coarsest = 2 ** (len(self.stages) + 1)
        return [s for s in (2, 4, 8, 16, 32) if self.finest <= s <= coarsest]

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
    MobileNetV2Spec | EfficientNetLiteSpec | ShuffleNetV2Spec | ResNetSpec | PlainSpec | ValidSpec,
    Field(discriminator="type"),
]
