"""The contract: what a model file says about itself, embedded in every file as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field, JsonValue, ValidationError

from ..errors import ContractError
from .spec import PositiveInt, Spec

CONTRACT_KEY = "pocketface.contract"
"""Metadata key of the contract, if the format has keys; OpenVINO uses a path of two parts."""

CONTRACT_VERSION: Final = 2

IMAGE: Final = "image"
"""Name of the only input."""

Precision = Literal["fp32", "fp16", "int8", "palette6", "palette4"]
"""Precision of the stored weights; palettes are 6- or 4-bit indices into a table for each layer."""
Resize = Literal["letterbox", "stretch", "align"]


class InputSpec(Spec):
    """The only input, a raw image; scale, mean and channel order are inside the graph.

    `shape` is (batch, 3, height, width), or (batch, height, width, 3) if `layout` is NHWC; -1 is a
    batch size that is free at run time. If `multiple_of` is set, the file can be opened with every
    height and width that are multiples of it, beside its own. `dtype` "image" is the platform's
    image type (Core ML: CVPixelBuffer), from which the file itself takes `colour`. `letterbox`
    scales the image to fit, keeps its aspect ratio, places it top left and fills the rest with
    `pad_value`; `stretch` scales it to the input's size. `align` takes one face: rotated, scaled
    and shifted so that its five landmarks come closest to `points`, x and y in pixels of the input,
    in the order of `LANDMARK_NAMES`.
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
    multiple_of: PositiveInt | None = None

    @property
    def batch(self) -> int:
        """Number of images in one inference; -1 for any."""
        return self.shape[0]

    @property
    def channels(self) -> int:
        """Number of channels; 3 in all our files."""
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
    """One named output; a size of -1 in `shape` is free at run time."""

    name: str
    shape: tuple[int, ...]
    meaning: str
    unit: str


class Provenance(Spec):
    """Origin of a file.

    `licence` is that of weights that ship with a template; None for those of others, who alone may
    give them one. `checkpoint_sha256` is None for a network that was never trained.
    """

    template: str
    package_version: str
    licence: str | None = None
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
    """Summary of the parity certificate: how well a file's answers match the trained network's.

    Attributes:
        status: Result of the check; "passed" and "failed" only if the file was run.
        runtime: Runtime that ran the file; None if none could.
        images: Number of photos that it was run on.
        differences: Largest differences by name, as the task measures them; None if not finite.
        agreement: Share of the network's answers that the file gives too, 0 to 1.
    """

    status: Literal["passed", "failed", "not verified"]
    runtime: str | None = None
    images: int = 0
    differences: dict[str, float | None] = Field(default={})
    agreement: float | None = None


class Compression(Spec):
    """How a file was compressed after training.

    Attributes:
        method: Method in words, with the quantizer and its version.
        photos: Photos that ranges were measured on, as paths relative to their common folder.
        seed: Seed of the choice of these photos.
        kept_float: Layers that stay float to keep accuracy.
        metric: Key of the figure whose drop is limited.
        drop: Percentage points of that figure lost on the validation photos.
    """

    method: str
    photos: tuple[str, ...]
    seed: int
    kept_float: tuple[str, ...] = ()
    metric: str
    drop: float | None = None


class Contract(Spec):
    """Everything needed to use a model file, and where the file comes from.

    Attributes:
        contract_version: Version of this schema.
        name: Name of the template.
        task: A key of `tasks.TASKS`.
        version: Version of the model.
        input: The only input.
        outputs: The outputs, in the network's order.
        rules: How the task turns outputs into answers: labels, thresholds and the like. Each task
            has its own schema for it (`tasks/<task>/rules.py`).
        precision: Precision of the stored weights.
        provenance: Origin of the file.
        metrics: Measured figures.
        parity: Summary of the certificate; None if the file was not verified.
        compression: How the file was compressed; None if it was not.
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

    def of_fixed_size(self) -> Contract:
        """The contract of the same network in a file whose graph has constants of its size."""
        spec = self.input.model_copy(update={"multiple_of": None})
        return self.model_copy(update={"input": spec})

    def resized(self, height: int, width: int, outputs: Mapping[str, tuple[int, ...]]) -> Contract:
        """The contract of the same file, opened with another input size.

        What was measured with its own size is left out.

        Args:
            height: Input height in pixels.
            width: Input width in pixels.
            outputs: Shapes of its graph's outputs with this size, by name; -1 where the graph does
                not state a size.
        """
        # A runtime may know the number of boxes and not that of scores, which is the same.
        known = {
            own: size
            for output in self.outputs
            for own, size in zip(output.shape[1:], outputs.get(output.name, ())[1:], strict=False)
            if size not in (own, -1)
        }
        own = self.input
        points = _moved(own.points, height / own.height, width / own.width)
        changed = {"shape": (*own.shape[:2], height, width), "points": points}
        spec = own.model_copy(update=changed)
        described = []
        for output in self.outputs:
            sizes = tuple(known.get(size, size) for size in output.shape[1:])
            if len(sizes) == 3 and output.shape[2:] == (own.height, own.width):
                # A map of the input's size, whose sides `known` cannot tell apart if they are one.
                sizes = (output.shape[1], height, width)
            described.append(output.model_copy(update={"shape": (output.shape[0], *sizes)}))
        return self.model_copy(
            update={"input": spec, "outputs": tuple(described), "metrics": (), "parity": None}
        )

    def to_json(self) -> str:
        """The contract as one line of JSON."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | None, *, source: str) -> Contract:
        """Read a contract back.

        Args:
            text: JSON as `to_json` writes it, or None if a file has no contract.
            source: The file, for error messages.

        Raises:
            ContractError: The contract is missing, of an older version, or does not fit the schema.
        """
        if not text:
            raise ContractError(
                f"{source}: carries no pocketface contract",
                hint="export it with `pocketface export`; of others only files of known networks "
                "open, with --template NAME",
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


def _moved(
    points: tuple[tuple[float, float], ...] | None, taller: float, wider: float
) -> tuple[tuple[float, float], ...] | None:
    """Landmarks of aligned faces in an input of another size; see `tasks.describe`.

    The eyes stay at their shares of height and width; faces become `wider` both ways.
    """
    if points is None:
        return None
    level = sum(y for _, y in points[:2]) / 2
    return tuple(
        (round(x * wider, 3), round(level * taller + (y - level) * wider, 3)) for x, y in points
    )


def _version(text: str) -> object:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None  # validation by the schema will report the fault
    return content.get("contract_version") if isinstance(content, dict) else None
