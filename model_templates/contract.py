"""The contract: what a model file says about itself, embedded in every file as JSON."""

from __future__ import annotations

import json
from typing import Final, Literal

from pydantic import Field, JsonValue, ValidationError

from ..errors import ContractError
from .spec import Spec

CONTRACT_KEY = "pocketface.contract"
"""Metadata key of the contract, wherever a format has keys; OpenVINO's is a path of two parts."""

CONTRACT_VERSION: Final = 2

IMAGE: Final = "image"
"""Name of the one input."""

Precision = Literal["fp32", "fp16", "int8", "palette6", "palette4"]
"""Of the stored weights; palettes are indices of 6 and 4 bits into a table for each layer."""
Resize = Literal["letterbox", "stretch", "align"]


class InputSpec(Spec):
    """The one input: a raw image; scale, mean and channel order are inside the graph.

    `shape` is (batch, 3, height, width), or (batch, height, width, 3) where `layout` is NHWC; -1
    is a batch size free at run time. `dtype` "image" is a picture of the platform's own kind
    (Core ML: CVPixelBuffer), from which the file itself takes `colour`. `letterbox` keeps the
    aspect ratio: scaled to fit, placed top left, the rest filled with `pad_value`; `stretch`
    does not. `align` takes one face: turned, scaled and shifted so that its five landmarks come
    closest to `points`, x and y in pixels of the input, in the order of `LANDMARK_NAMES`.
    """

    name: str = IMAGE
    shape: tuple[int, int, int, int]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    dtype: Literal["float32", "image"] = "float32"
    colour: Literal["BGR"] = "BGR"
    value_range: tuple[float, float] = (0.0, 255.0)
    resize: Resize
    pad_value: float = 0.0
    points: tuple[tuple[float, float], ...] | None = None

    @property
    def batch(self) -> int:
        """Images of one inference; -1 for any number."""
        return self.shape[0]

    @property
    def channels(self) -> int:
        """3 in every file of ours."""
        return self.shape[1] if self.layout == "NCHW" else self.shape[3]

    @property
    def height(self) -> int:
        """Network input height in pixels."""
        return self.shape[2] if self.layout == "NCHW" else self.shape[1]

    @property
    def width(self) -> int:
        """Network input width in pixels."""
        return self.shape[3] if self.layout == "NCHW" else self.shape[2]


class OutputSpec(Spec):
    """One named output; -1 in `shape` is free at run time."""

    name: str
    shape: tuple[int, ...]
    meaning: str
    unit: str


class Provenance(Spec):
    """Where a file comes from. `checkpoint_sha256` is None for a network never trained."""

    template: str
    package_version: str
    licence: str = "Apache-2.0"
    checkpoint_sha256: str | None = None
    data: str | None = None
    seed: int | None = None


class Metric(Spec):
    """One measured figure and how it was measured."""

    key: str
    display_name: str
    value: float | None
    unit: str
    protocol: str | None = None


class ParitySummary(Spec):
    """What the file's parity certificate says: how far it answers as the trained network does.

    Attributes:
        status: "passed" and "failed" only where the file was run.
        runtime: What ran it; None where nothing could.
        images: Photos it was run on.
        differences: The largest ones by name, as the task measures them; None where not finite.
        agreement: Share of the network's answers that the file gives too.
    """

    status: Literal["passed", "failed", "not verified"]
    runtime: str | None = None
    images: int = 0
    differences: dict[str, float | None] = Field(default={})
    agreement: float | None = None


class Compression(Spec):
    """How a file became smaller than what was trained.

    Attributes:
        method: In words, with the quantizer and its version.
        photos: That ranges were measured on: their files, below the folder that all are in.
        seed: Of their choice.
        kept_float: Layers that stay float for the sake of accuracy.
        metric: Key of what was promised.
        drop: Points of it that were lost, on the photos that it was measured on.
    """

    method: str
    photos: tuple[str, ...]
    seed: int
    kept_float: tuple[str, ...] = ()
    metric: str
    drop: float | None = None


class Contract(Spec):
    """Everything a runtime must know to use a model file, and where the file comes from.

    Attributes:
        contract_version: Of this schema.
        name: The template's.
        task: A key of `tasks.TASKS`.
        version: Of the model.
        input: The one input.
        outputs: In the order in which the network gives them.
        rules: How the task makes answers of the outputs: labels, thresholds and the like. Each
            task has a schema of its own for it (`tasks/<task>/rules.py`).
        precision: Of the stored weights.
        provenance: Where the file comes from.
        metrics: Measured figures.
        parity: What the certificate says; None where the file was not verified.
        compression: How it became smaller; None where it did not.
    """

    contract_version: Literal[2] = CONTRACT_VERSION
    name: str
    task: str
    version: str = "1"
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    rules: dict[str, JsonValue]
    precision: Precision = "fp32"
    provenance: Provenance
    metrics: tuple[Metric, ...] = ()
    parity: ParitySummary | None = None
    compression: Compression | None = None

    def channels_last(self, *, batch: int) -> Contract:
        """The contract of the same network with NHWC input, for `batch` images (-1: any number)."""
        shape = (batch, self.input.height, self.input.width, self.input.channels)
        outputs = tuple(
            output.model_copy(update={"shape": (batch, *output.shape[1:])})
            for output in self.outputs
        )
        spec = self.input.model_copy(update={"shape": shape, "layout": "NHWC"})
        return self.model_copy(update={"input": spec, "outputs": outputs})

    def to_json(self) -> str:
        """The contract as one line of JSON."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | None, *, source: str) -> Contract:
        """Read a contract back.

        Args:
            text: JSON as `to_json` writes it, or None where a file has no contract.
            source: The file, for error messages.

        Raises:
            ContractError: There is none, it is of an older version, or it does not fit the schema.
        """
        if not text:
            raise ContractError(
                f"{source}: carries no pocketface contract",
                hint="export it with `pocketface export`; other people's files are not accepted",
            )
        if _version(text) == 1:
            raise ContractError(f"{source}: exported by an older pocketface: export it again")
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the contract"
            raise ContractError(
                f"{source}: contract does not fit: {where}: {first['msg']}"
            ) from error


def _version(text: str) -> object:
    try:
        content = json.loads(text)
    except ValueError:
        return None  # the schema says what is wrong
    return content.get("contract_version") if isinstance(content, dict) else None
