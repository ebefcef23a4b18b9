"""The contract: what a model file says about itself, embedded in every file as JSON."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ContractError

CONTRACT_KEY = "pocketface.contract"
"""Metadata key of the contract, wherever a format has keys; OpenVINO's is a path of two parts."""

CONTRACT_VERSION: Final = 1

Precision = Literal["fp32", "fp16", "int8", "palette6", "palette4"]
"""Of the stored weights; palettes are indices of 6 and 4 bits into a table for each layer."""
Resize = Literal["letterbox", "stretch", "align"]
Task = Literal["face-detection", "glasses-classification"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class InputSpec(_Frozen):
    """The one input: a raw image; scale, mean and channel order are inside the graph.

    `shape` is (batch, 3, height, width), or (batch, height, width, 3) where `layout` is NHWC; -1
    is a batch size free at run time. `dtype` "image" is a picture of the platform's own kind
    (Core ML: CVPixelBuffer), from which the file itself takes `colour`. `letterbox` keeps the
    aspect ratio: scaled to fit, placed top left, the rest filled with `pad_value`; `stretch`
    does not. `align` takes one face: turned, scaled and shifted so that its five landmarks come
    closest to `points`, x and y in pixels of the input, in the order of `LANDMARK_NAMES`.
    """

    name: str = "image"
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


class ParitySummary(_Frozen):
    """What the file's parity certificate says: how far it answers as the trained network does.

    Attributes:
        status: "passed" and "failed" only where the file was run.
        runtime: What ran it; None where nothing could.
        images: Photos it was run on.
        corners_px: Largest difference of matched boxes' corners, network-input pixels; None of
            a classifier.
        score: Largest difference of scores.
        agreement: Share of the network's faces that the file finds too, at IoU 0.9; of a
            classifier, share of photos with the same label.
    """

    status: Literal["passed", "failed", "not verified"]
    runtime: str | None = None
    images: int = 0
    corners_px: float | None = None
    score: float | None = None
    agreement: float | None = None


class Compression(_Frozen):
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


class Contract(_Frozen):
    """Everything a runtime must know to use a model file, and where the file comes from.

    Of a classifier, `score_threshold` is that of the last of `labels`, and `nms_iou` is 1. `nms`
    says who drops boxes that overlap: the runtime, or the graph itself. A graph does it at
    the contract's own `score_threshold` and `nms_iou`.
    """

    contract_version: Literal[1] = CONTRACT_VERSION
    name: str
    task: Task
    version: str = "1"
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    labels: tuple[str, ...]
    score_threshold: float = Field(ge=0, le=1)
    nms_iou: float = Field(default=1.0, gt=0, le=1)
    nms: Literal["runtime", "graph"] = "runtime"
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
