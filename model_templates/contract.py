"""The contract: what a model file says about itself, embedded in every file as JSON."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ContractError

CONTRACT_KEY = "pocketface.contract"
"""Metadata key of the contract in ONNX `metadata_props`, OpenVINO `rt_info` and safetensors."""

CONTRACT_VERSION: Final = 1

Precision = Literal["fp32", "fp16", "int8"]
Resize = Literal["letterbox", "stretch"]
Task = Literal["face-detection"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class InputSpec(_Frozen):
    """The one input: a raw planar image; scale, mean and channel order are inside the graph.

    `shape` is (batch, 3, height, width); -1 is a batch size free at run time. `letterbox` keeps
    the aspect ratio: scaled to fit, placed top left, the rest filled with `pad_value`;
    `stretch` does not.
    """

    name: str = "image"
    shape: tuple[int, int, int, int]
    layout: Literal["NCHW"] = "NCHW"
    dtype: Literal["float32"] = "float32"
    colour: Literal["BGR"] = "BGR"
    value_range: tuple[float, float] = (0.0, 255.0)
    resize: Resize
    pad_value: float = 0.0

    @property
    def height(self) -> int:
        """Network input height in pixels."""
        return self.shape[2]

    @property
    def width(self) -> int:
        """Network input width in pixels."""
        return self.shape[3]


class OutputSpec(_Frozen):
    """One named output; -1 in `shape` is free at run time."""

    name: str
    shape: tuple[int, ...]
    meaning: str
    unit: str


class Provenance(_Frozen):
    """Where a file comes from. `checkpoint_sha256` is None for a network never trained."""

    template: str
    package_version: str
    licence: str = "Apache-2.0"
    checkpoint_sha256: str | None = None
    data: str | None = None
    seed: int | None = None


class Metric(_Frozen):
    """One measured figure and how it was measured."""

    key: str
    display_name: str
    value: float | None
    unit: str
    protocol: str | None = None


class Contract(_Frozen):
    """Everything a runtime must know to use a model file, and where the file comes from."""

    contract_version: Literal[1] = CONTRACT_VERSION
    name: str
    task: Task
    version: str = "1"
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    labels: tuple[str, ...]
    score_threshold: float = Field(ge=0, le=1)
    nms_iou: float = Field(gt=0, le=1)
    precision: Precision = "fp32"
    provenance: Provenance
    metrics: tuple[Metric, ...] = ()

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
            ContractError: There is none, or it does not fit this version's schema.
        """
        if not text:
            raise ContractError(
                f"{source}: carries no pocketface contract",
                hint="export it with `pocketface export`; other people's files are not accepted",
            )
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the contract"
            raise ContractError(
                f"{source}: contract does not fit: {where}: {first['msg']}"
            ) from error
