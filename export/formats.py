"""The table of formats, and what each module of this room does for one."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from ..errors import MissingPackageError
from ..model_templates.contract import Precision

if TYPE_CHECKING:
    from ..model_templates.contract import Contract
    from ..models.network import Network

ExportPrecision = Literal["fp32", "fp16"]
"""What may be asked for; a network that was quantized during training has "int8" alone."""


@dataclass(frozen=True, eq=False)
class Order:
    """Files of one format and precision, to be written.

    Attributes:
        network: On the CPU.
        contract: That describes it; its input size is the graph's, its precision that of the
            stored weights.
        folder: Where to.
        stem: Of the files' names.
        with_nms: Write files with NMS inside, too, where the format can be had so.
    """

    network: Network
    contract: Contract
    folder: Path
    stem: str
    with_nms: bool = False

    @property
    def precision(self) -> Precision:
        """Of the stored weights."""
        return self.contract.precision


class Writer(Protocol):
    """A module of this room that writes one format."""

    def convert(self, order: Order) -> list[Path]:
        """Write model files, each with its contract inside; returns what `load` opens.

        Raises:
            MissingPackageError: A package that the format needs is not installed.
            UserError: The network cannot be had in this format.
        """

    def embed(self, path: Path, contract: Contract) -> None:
        """Change the contract of a file that `convert` wrote, and nothing else."""


@dataclass(frozen=True)
class Exporter:
    """A format.

    Attributes:
        module: Of this room.
        packages: That write and run its files.
        precisions: Of the stored weights.
    """

    module: str
    packages: tuple[str, ...]
    precisions: tuple[Precision, ...] = ("fp32", "fp16")


EXPORTERS: dict[str, Exporter] = {
    "openvino": Exporter(
        "openvino",
        ("openvino", "onnx", "onnxscript"),
        ("fp32", "fp16", "int8"),
    ),
    "onnx": Exporter("onnx", ("onnx", "onnxscript", "onnxruntime")),
    "coreml": Exporter("coreml", ("coremltools",)),
    "litert": Exporter("litert", ("litert_torch", "ai_edge_litert")),
    "tensorflow": Exporter("tensorflow", ("tensorflow",), ("fp32",)),
}
"""By name; their modules are imported when they are used."""


def writer_of(name: str) -> Writer:
    """The module that writes a format."""
    return cast(Writer, importlib.import_module(f".{EXPORTERS[name].module}", __package__))


def missing_of(packages: Iterable[str]) -> MissingPackageError | None:
    """The first that is not installed."""
    return next((MissingPackageError(one) for one in packages if find_spec(one) is None), None)
