"""The strict schema of `template.yaml`: architecture, input and recipe as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from ..errors import TemplateError
from .architecture import ArchitectureSpec
from .contract import Metric, Resize, Task
from .explain import explain
from .recipe import HyperParametersSpec
from .spec import Fraction, PositiveFloat, PositiveInt, Spec
from .strict_yaml import parse_yaml, read_yaml


class WeightsSpec(Spec):
    """Shipped weights: a file beside template.yaml, its SHA-256 and size in bytes."""

    file: Annotated[str, Field(pattern=r"^[\w.-]+\.safetensors$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: PositiveInt


CLASSES: dict[Task, int] = {"face-detection": 1, "glasses-classification": 2}
"""How many each task tells apart: faces from all else, or no from yes."""


class DatasetSpec(Spec):
    """What the network tells apart; of a classifier, what it is sure of comes last."""

    classes: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class NetworkInputSpec(Spec):
    """Input of the exported network, pixels; `resize` says how a photo is brought to it.

    Args:
        multiple_of: Other sizes are allowed too, if they are multiples of this.
        eyes: Where `resize` is "align": x of the left and of the right eye (as seen in the
            picture), and y of both, as shares of width and height. The other landmarks stand as
            in a face seen from the front.
    """

    height: Annotated[int, Field(gt=0, le=8192)]
    width: Annotated[int, Field(gt=0, le=8192)]
    resize: Resize
    multiple_of: PositiveInt | None = None
    eyes: tuple[Fraction, Fraction, Fraction] | None = None

    @model_validator(mode="after")
    def _is_a_multiple(self) -> NetworkInputSpec:
        for name, side in (("height", self.height), ("width", self.width)):
            if self.multiple_of is not None and side % self.multiple_of:
                raise ValueError(f"{name} is {side}: expected a multiple of {self.multiple_of}")
        return self

    @model_validator(mode="after")
    def _eyes_are_known(self) -> NetworkInputSpec:
        if (self.resize == "align") != (self.eyes is not None):
            raise ValueError("resize 'align' and eyes go together")
        if self.eyes is not None and self.eyes[0] >= self.eyes[1]:
            raise ValueError(f"eyes: the left one comes first (found {list(self.eyes)})")
        return self


class InferenceSpec(Spec):
    """Defaults of post-processing, overridable at run time; `nms_iou` is a detector's."""

    score_threshold: Fraction
    nms_iou: Annotated[float, Field(gt=0, le=1)] | None = None


class OutputFormatSpec(Spec):
    """Formats that export writes unless told otherwise, as far as their packages are installed."""

    openvino: bool
    onnx: bool
    coreml: bool = True
    litert: bool = True
    tensorflow: bool = True


class QuantizationSpec(Spec):
    """Quantization-aware fine-tuning."""

    epochs: PositiveInt
    base_learning_rate: PositiveFloat


class SparsitySpec(Spec):
    """Fine-tuning while weights are made zero, up to a share of those of all layers.

    Args:
        ratio: The share, reached after two thirds of the epochs.
        initial_ratio: In the first epoch.
        mode: The smallest weights of all layers together, chosen anew in each epoch; or trained
            masks with a penalty (Louizos et al. 2018).
    """

    epochs: PositiveInt
    base_learning_rate: PositiveFloat
    ratio: Fraction
    initial_ratio: Fraction = 0.1
    mode: Literal["magnitude", "regularization"] = "magnitude"

    @model_validator(mode="after")
    def _rises(self) -> SparsitySpec:
        if not self.initial_ratio < self.ratio < 1:
            raise ValueError(
                f"ratio is {self.ratio:g}: expected more than initial_ratio "
                f"({self.initial_ratio:g}), and less than 1"
            )
        return self


class PruningSpec(Spec):
    """Fine-tuning after a share of all channels has gone."""

    epochs: PositiveInt
    base_learning_rate: PositiveFloat
    ratio: Annotated[float, Field(gt=0, lt=1)]


class OptimisationsSpec(Spec):
    """Recipes for compression."""

    nncf_quantization: QuantizationSpec | None = None
    nncf_sparsity: SparsitySpec | None = None
    filter_pruning: PruningSpec | None = None


class PublishedSpec(Spec):
    """Size as published for this template: GFLOPs count multiply and add (2 x MAC)."""

    gflops: PositiveFloat
    mparams: PositiveFloat
    note: str | None = None


class Template(Spec):
    """One `template.yaml`.

    `domain`, `training_target` and `inference_target` tell people where it belongs; no command
    reads them.
    """

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

    @model_validator(mode="after")
    def _parts_fit_the_problem(self) -> Template:
        head, classes = self.architecture.head, self.dataset.classes
        detects = self.problem == "face-detection"
        wanted = {
            "architecture.head.type": (head.type == "classes") != detects,
            "input.resize": (self.input.resize == "align") != detects,
            "hyper_parameters.augmentation.crop": (
                (self.hyper_parameters.augmentation.crop == "face") != detects
            ),
            "inference.nms_iou": (self.inference.nms_iou is None) != detects,
        }
        for key, fits in wanted.items():
            if not fits:
                raise ValueError(f"{key} does not fit problem {self.problem!r}")
        if self.hyper_parameters.distillation is not None:
            if head.type != "dense":
                raise ValueError(
                    f"hyper_parameters.distillation wants architecture.head.type 'dense' "
                    f"(found {head.type!r})"
                )
            if head.centerness:
                raise ValueError(
                    "hyper_parameters.distillation wants architecture.head.centerness false: "
                    "a score of its own is what is learnt"
                )
        augmentation, side = self.hyper_parameters.augmentation, self.input
        if augmentation.crop == "zoom" and not augmentation.size and side.height != side.width:
            raise ValueError(
                f"hyper_parameters.augmentation.size is missing: crop 'zoom' cuts squares, and the "
                f"input is {side.height} high and {side.width} wide"
            )
        smallest = augmentation.size or min(side.height, side.width)
        if detects and augmentation.min_face >= smallest:
            raise ValueError(
                f"hyper_parameters.augmentation.min_face is {augmentation.min_face:g}: expected "
                f"less than the sample's side, {smallest}; else every face is ignored"
            )
        self.architecture.check_room(side.height, side.width)
        keys = [metric.key for metric in self.metrics]
        if len(set(keys)) < len(keys):
            raise ValueError(f"metrics: keys are {keys}: expected each once")
        if len(set(classes)) != CLASSES[self.problem] or len(classes) != len(set(classes)):
            raise ValueError(
                f"dataset.classes is {classes}: expected {CLASSES[self.problem]} for problem "
                f"{self.problem!r}, each once"
            )
        if head.type == "classes" and head.classes != len(classes):
            raise ValueError(
                f"architecture.head.classes is {head.classes}, but dataset.classes has "
                f"{len(classes)}"
            )
        return self


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
