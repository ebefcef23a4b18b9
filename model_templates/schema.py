"""The strict schema of `template.yaml`: architecture, input and recipe as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, JsonValue, ValidationError, model_validator

from ..errors import TemplateError
from .architecture import ArchitectureSpec
from .contract import Metric, Resize
from .explain import explain
from .heads import MaskHeadSpec
from .recipe import HyperParametersSpec
from .spec import Fraction, PositiveFloat, PositiveInt, Spec
from .strict_yaml import parse_yaml


class WeightsSpec(Spec):
    """Shipped weights: a file beside template.yaml, its SHA-256 and size in bytes."""

    file: Annotated[str, Field(pattern=r"^[\w.-]+\.safetensors$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: PositiveInt


BACKGROUND: Final = "background"
"""The first of several classes of a mask: what is of no other. One class alone has none beside."""


class DatasetSpec(Spec):
    """The classes that the network tells apart; a classifier's positive class comes last."""

    classes: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class NetworkInputSpec(Spec):
    """Input of the exported network, in pixels; `resize` says how a photo is brought to it.

    Args:
        multiple_of: Other sizes are allowed if they are multiples of this.
        eyes: For `resize` "align": x of the left and of the right eye (as seen in the picture),
            and y of both, as shares of width and height. The other landmarks are placed as in a
            face seen from the front.
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


class OutputFormatSpec(Spec):
    """Formats that export writes by default, if their packages are installed."""

    openvino: bool = False
    onnx: bool = False
    coreml: bool = False
    litert: bool = False
    tensorflow: bool = False
    torchscript: bool = False


class QuantizationSpec(Spec):
    """Quantization-aware fine-tuning."""

    epochs: PositiveInt
    base_learning_rate: PositiveFloat


class SparsitySpec(Spec):
    """Fine-tuning while a growing share of all layers' weights becomes zero.

    Args:
        ratio: The final share, reached after two thirds of the epochs.
        initial_ratio: The share in the first epoch.
        mode: Which weights become zero: the smallest of all layers together, chosen anew in each
            epoch, or those of trained masks with a penalty (Louizos et al. 2018).
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
    """Fine-tuning after a share of all channels was dropped."""

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

    `domain`, `training_target` and `inference_target` are for people; no command reads them.
    `problem` is a key of `tasks.TASKS`; the task's rules define the keys of `inference` and
    `hyper_parameters.augmentation`.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    domain: str
    problem: str
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
    inference: dict[str, JsonValue]

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Template:
        self.architecture.check_room(self.input.height, self.input.width)
        head, step = self.architecture.head, self.input.multiple_of
        if isinstance(head, MaskHeadSpec) and step is not None and step % head.stride:
            raise ValueError(
                f"input.multiple_of is {step}: expected a multiple of {head.stride}, "
                "architecture.head.stride"
            )
        keys = [metric.key for metric in self.metrics]
        if len(set(keys)) < len(keys):
            raise ValueError(f"metrics: keys are {keys}: expected each once")
        return self


@dataclass(frozen=True)
class TemplateFile:
    """A template.yaml, read once.

    Attributes:
        path: The file.
        text: Its text, which weights files embed.
        spec: Its parsed content.
    """

    path: Path
    text: str
    spec: Template


def parse_template(text: str, *, source: str) -> Template:
    """Parse a template's text by this schema; `source` is its name in error messages.

    Checks that depend on the task are in `tasks.templates`.

    Raises:
        TemplateError: See `strict_yaml.read_yaml`; or a key is unknown, missing, or of the wrong
            type or range. The message names file, key, value and what is expected.
    """
    return validate(Template, parse_yaml(text, source=source), source=source)


Kind = TypeVar("Kind", bound=Spec)


def validate(kind: type[Kind], content: Mapping[str, Any], *, source: str, under: str = "") -> Kind:
    """Validate a mapping by one of our schemas.

    Args:
        kind: The schema.
        content: The mapping from YAML or JSON.
        source: Name of the file in error messages.
        under: The key in the file whose value is `content`; "" for the whole file.

    Raises:
        TemplateError: The mapping does not fit the schema.
    """
    try:
        # Through JSON, because only there strict mode accepts a list for a tuple.
        return kind.model_validate_json(json.dumps(content))
    except ValidationError as error:
        text, hint = explain(error, kind, under=under)
        raise TemplateError(f"{source}: {text}", hint=hint) from error
