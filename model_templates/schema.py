"""The strict schema of `template.yaml`: architecture, input and recipe as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import TemplateError
from .contract import Metric, Precision, Resize, Task
from .explain import explain
from .strict_yaml import parse_yaml, read_yaml

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]

GROUPS = 16
"""Of group normalisation."""


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


# Backbones -----------------------------------------------------------------------------------


class MobileNetV2Spec(_Spec):
    """MobileNetV2 (Sandler et al. 2018) without its last 1x1 convolution.

    Args:
        width: Multiplies all channels.
        outputs: The feature maps taken, by their channels at width 1; strides 4, 8, 16, 32.
        expand_first: The first block, of expansion 1, has a 1x1 convolution before its depthwise
            one too. Not so in the paper, but in the published detectors.
    """

    type: Literal["mobilenet_v2"]
    width: PositiveFloat = 1.0
    outputs: Annotated[list[Literal[24, 32, 96, 320]], Field(min_length=1)]
    expand_first: bool = False

    @property
    def strides(self) -> list[int]:
        """Of the outputs."""
        return [{24: 4, 32: 8, 96: 16, 320: 32}[channels] for channels in self.outputs]


class ShuffleNetV2Spec(_Spec):
    """ShuffleNetV2 (Ma et al. 2018) 1.0; stages of 116, 232 and 464 channels."""

    type: Literal["shufflenet_v2"]
    outputs: Annotated[list[Literal[116, 232, 464]], Field(min_length=1)]

    @property
    def strides(self) -> list[int]:
        """Of the outputs."""
        return [{116: 8, 232: 16, 464: 32}[channels] for channels in self.outputs]


class ResNetSpec(_Spec):
    """ResNet (He et al. 2015) with bottleneck blocks; outputs strides 4, 8, 16, 32."""

    type: Literal["resnet"]
    depth: Literal[50, 101, 152]

    @property
    def strides(self) -> list[int]:
        """Of the outputs."""
        return [4, 8, 16, 32]


class StageSpec(_Spec):
    """A strided 3x3 convolution to `channels`, then `blocks` residual blocks of two 3x3."""

    channels: PositiveInt
    blocks: Annotated[int, Field(ge=0)]


class PlainSpec(_Spec):
    """Dense narrow convolutions made for int8. Stage i has stride 2 ** (i + 2).

    The feature maps of the last three stages (strides 8, 16, 32) are the outputs.
    """

    type: Literal["plain"]
    stem_channels: PositiveInt
    stages: Annotated[list[StageSpec], Field(min_length=4, max_length=4)]

    @property
    def strides(self) -> list[int]:
        """Of the outputs."""
        return [8, 16, 32]


Backbone = Annotated[
    MobileNetV2Spec | ShuffleNetV2Spec | ResNetSpec | PlainSpec, Field(discriminator="type")
]

# Necks ---------------------------------------------------------------------------------------


class FPNSpec(_Spec):
    """Feature pyramid (Lin et al. 2017).

    Args:
        channels: Of every output map.
        levels: Number of output maps; beyond the backbone's they come by strided convolutions.
        context: Adds a context module (after SSH, Najibi et al. 2017) behind every level.
        batch_norm: Normalise (and activate) after each convolution.
    """

    type: Literal["fpn"]
    channels: PositiveInt
    levels: PositiveInt
    context: bool = False
    batch_norm: bool = False

    @model_validator(mode="after")
    def _divisible(self) -> FPNSpec:
        if self.context and self.channels % 4:
            raise ValueError(f"context wants channels in fours (found {self.channels})")
        return self


# Heads and their losses ------------------------------------------------------------------------


class AnchorLevelSpec(_Spec):
    """Anchors of one SSD level: stride and paired widths and heights in input pixels."""

    stride: PositiveInt
    widths: list[PositiveFloat]
    heights: list[PositiveFloat]

    @model_validator(mode="after")
    def _paired(self) -> AnchorLevelSpec:
        if len(self.widths) != len(self.heights):
            raise ValueError(f"{len(self.widths)} widths but {len(self.heights)} heights")
        return self


class SSDHeadSpec(_Spec):
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


class DenseLossSpec(_Spec):
    """Assignment and losses of a dense (anchor-point) head.

    Args:
        assigner: `center_sampling` (FCOS, Tian et al. 2019) or `atss` (Zhang et al. 2020).
        classification: `focal` (gamma 2, alpha .25) or `quality_focal` (Li et al. 2020, beta 2).
        box: `iou`, `giou` or `diou`.
        top_k: ATSS candidates per level.
    """

    assigner: Literal["center_sampling", "atss"]
    classification: Literal["focal", "quality_focal"]
    box: Literal["iou", "giou", "diou"]
    box_weight: PositiveFloat = 1.0
    landmark_weight: Annotated[float, Field(ge=0)] = 0.0
    top_k: PositiveInt = 9


class DenseHeadSpec(_Spec):
    """One prediction per grid cell: class, box distances, optional centre-ness and landmarks.

    Args:
        strides: One per level.
        channels: Of the convolutions of a tower.
        tower: Number of 3x3 convolutions before the predictions.
        shared: One set of weights for all levels, and separate towers for class and box (FCOS);
            else each level has one tower of its own for both.
        norm: Normalisation in the tower.
        centerness: Adds the centre-ness branch; score = sqrt(class x centre-ness).
        landmarks: Adds five points.
        anchor_scale: Side of the square anchor of ATSS, in strides.
    """

    type: Literal["dense"]
    strides: list[PositiveInt]
    channels: PositiveInt
    tower: PositiveInt
    shared: bool
    norm: Literal["none", "batch", "group"]
    centerness: bool = False
    landmarks: bool = False
    anchor_scale: PositiveFloat = 8.0
    loss: DenseLossSpec

    @model_validator(mode="after")
    def _divisible(self) -> DenseHeadSpec:
        if self.norm == "group" and self.channels % GROUPS:
            raise ValueError(f"norm 'group' wants channels in {GROUPS}s (found {self.channels})")
        return self

    @property
    def level_strides(self) -> list[int]:
        """One per level."""
        return self.strides


Head = Annotated[SSDHeadSpec | DenseHeadSpec, Field(discriminator="type")]


class ArchitectureSpec(_Spec):
    """A network: normalisation of raw 0-255 BGR, backbone, neck, head."""

    mean: tuple[float, float, float]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    colour: Literal["BGR", "RGB"]
    backbone: Backbone
    neck: FPNSpec | None = None
    head: Head

    @model_validator(mode="after")
    def _strides_meet(self) -> ArchitectureSpec:
        given = list(self.backbone.strides)
        if given != sorted(set(given)):
            raise ValueError(f"backbone outputs must be finest first, each once: strides {given}")
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


# Recipe ---------------------------------------------------------------------------------------


class BasicSpec(_Spec):
    """The three that users change first. `batch_size` is per GPU."""

    batch_size: PositiveInt
    base_learning_rate: PositiveFloat
    epochs: PositiveInt


class OptimizerSpec(_Spec):
    """SGD with Nesterov momentum, or AdamW (Loshchilov & Hutter 2019) with `momentum` as beta 1."""

    type: Literal["sgd", "adamw"] = "sgd"
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    gradient_clip: PositiveFloat | None = None


class ScheduleSpec(_Spec):
    """Learning rate over epochs: `step` divides by ten at each milestone; `cosine` falls to 1 %."""

    type: Literal["step", "cosine"]
    milestones: list[PositiveInt] = []
    warmup_iterations: Annotated[int, Field(ge=0)] = 0


class AugmentationSpec(_Spec):
    """How a training sample is cut from a photo.

    Args:
        crop: `zoom`: a square of the short side times one of `scales` (above 1 pads);
            `iou`: SSD's random crop with a minimum IoU to a face.
        scales: For `zoom`.
        size: Side of the sample in pixels (`zoom`); `iou` samples have the network's input size.
        flip: Probability of a horizontal flip.
        photometric: Random brightness, contrast, saturation and hue, in batches by kornia.
        min_face: Faces below this side (in sample pixels) are ignored, neither face nor background.
    """

    crop: Literal["zoom", "iou"]
    scales: list[PositiveFloat] = [0.3, 0.45, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0]
    size: PositiveInt | None = None
    flip: Fraction = 0.5
    photometric: bool = True
    min_face: Annotated[float, Field(ge=0)] = 4.0


class HyperParametersSpec(_Spec):
    """The training recipe. `repeats`: how often an epoch goes over the photos."""

    basic: BasicSpec
    repeats: PositiveInt = 1
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    augmentation: AugmentationSpec


# The template ---------------------------------------------------------------------------------


class WeightsSpec(_Spec):
    """Shipped weights: a file beside template.yaml, its SHA-256 and size in bytes."""

    file: Annotated[str, Field(pattern=r"^[\w.-]+\.safetensors$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: PositiveInt


class DatasetSpec(_Spec):
    """What the network tells apart."""

    classes: Annotated[list[str], Field(min_length=1)]


class NetworkInputSpec(_Spec):
    """Input of the exported network, pixels; `resize` says how a photo is brought to it."""

    height: PositiveInt
    width: PositiveInt
    resize: Resize
    multiple_of: PositiveInt | None = None


class InferenceSpec(_Spec):
    """Defaults of post-processing, overridable at run time."""

    score_threshold: Fraction
    nms_iou: Annotated[float, Field(gt=0, le=1)]


class OutputFormatSpec(_Spec):
    """Formats that export writes unless told otherwise."""

    openvino: bool
    onnx: bool


class QuantizationSpec(_Spec):
    """Quantization-aware fine-tuning."""

    epochs: PositiveInt
    base_learning_rate: PositiveFloat


class SparsitySpec(_Spec):
    """Share of weights to be made zero."""

    epochs: PositiveInt
    base_learning_rate: PositiveFloat
    ratio: Fraction


class OptimisationsSpec(_Spec):
    """Recipes for compression."""

    nncf_quantization: QuantizationSpec | None = None
    nncf_sparsity: SparsitySpec | None = None


class PublishedSpec(_Spec):
    """Size as published for this template: GFLOPs count multiply and add (2 x MAC)."""

    gflops: PositiveFloat
    mparams: PositiveFloat
    note: str | None = None


class Template(_Spec):
    """One `template.yaml`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    domain: str
    problem: Task
    summary: str
    initial_weights: WeightsSpec | None
    dataset: DatasetSpec
    training_target: list[Literal["CPU", "GPU"]]
    inference_target: list[Literal["CPU", "GPU", "NPU"]]
    hyper_parameters: HyperParametersSpec
    output_format: OutputFormatSpec
    optimisations: OptimisationsSpec
    metrics: list[Metric]
    gpu_num: PositiveInt
    published: PublishedSpec | None = None
    input: NetworkInputSpec
    architecture: ArchitectureSpec
    inference: InferenceSpec


def load_template(path: Path) -> Template:
    """Read and check one template file.

    Raises:
        TemplateError: See `strict_yaml.read_yaml`; or a key is unknown, missing, or of the wrong
            type or range. The message names file, key, value and what is expected.
    """
    return _validate(read_yaml(path), source=str(path))


def parse_template(text: str, *, source: str) -> Template:
    """Like `load_template`, for a template embedded in a checkpoint."""
    return _validate(parse_yaml(text, source=source), source=source)


def _validate(content: dict[str, Any], *, source: str) -> Template:
    try:
        # By way of JSON: strict mode takes a list for a tuple only there.
        return Template.model_validate_json(json.dumps(content))
    except ValidationError as error:
        text, hint = explain(error, Template)
        raise TemplateError(f"{source}: {text}", hint=hint) from error


__all__ = ["Precision", "Template", "load_template", "parse_template"]
