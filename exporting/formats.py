"""The table of export formats, and the interface of their modules."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast, get_args

from ..errors import MissingPackageError, UserError
from ..model_templates.contract import Precision

if TYPE_CHECKING:
    from ..model_templates.contract import Contract
    from ..models.network import Network

ExportPrecision = Literal["fp32", "fp16"]
"""Precisions that may be asked for; a network quantized during training has only "int8"."""


@dataclass(frozen=True, eq=False)
class Order:
    """An order for files of one format and precision.

    Attributes:
        network: The network, on the CPU.
        contract: Its contract, with the graph's input size and the precision of the stored
            weights.
        folder: Folder for the files.
        stem: Stem of the files' names.
        with_nms: Whether to write files with NMS inside too, if the format has them.
    """

    network: Network
    contract: Contract
    folder: Path
    stem: str
    with_nms: bool = False

    @property
    def precision(self) -> Precision:
        """Precision of the stored weights."""
        return self.contract.precision


class Writer(Protocol):
    """Interface of a module that writes one format."""

    def convert(self, order: Order) -> list[Path]:
        """Write model files with their contracts inside; returns the paths that `load` opens.

        Raises:
            MissingPackageError: A package that the format needs is not installed.
            UserError: The format cannot hold this network.
        """

    def embed(self, path: Path, contract: Contract) -> None:
        """Change the contract of a file that `convert` wrote, and nothing else."""


@dataclass(frozen=True)
class Exporter:
    """An export format.

    Attributes:
        module: Name of its module in this folder.
        suffixes: Suffixes of all that it writes.
        packages: Packages that write and run its files.
        precisions: Possible precisions of the stored weights.
        free_size: Whether its files can be opened with other input sizes, if the template leaves
            that free. The graphs of the others have constants of their size.
    """

    module: str
    suffixes: tuple[str, ...]
    packages: tuple[str, ...]
    precisions: tuple[Precision, ...] = ("fp32", "fp16")
    free_size: bool = False


EXPORTERS: dict[str, Exporter] = {
    "openvino": Exporter(
        "openvino",
        (".xml", ".bin"),
        ("openvino", "onnx", "onnxscript"),
        ("fp32", "fp16", "int8"),
        free_size=True,
    ),
    "onnx": Exporter("onnx", (".onnx",), ("onnx", "onnxscript", "onnxruntime"), free_size=True),
    "coreml": Exporter("coreml", (".mlmodel", ".mlpackage"), ("coremltools",)),
    "litert": Exporter("litert", (".tflite",), ("litert_torch", "ai_edge_litert")),
    "tensorflow": Exporter("tensorflow", (".savedmodel", ".keras"), ("tensorflow",), ("fp32",)),
    "torchscript": Exporter("torchscript", (".pt",), ("torch",), free_size=True),
}
"""Formats by name; their modules are imported when used."""

WITH_NMS = ("openvino", "onnx", "coreml")
"""Formats whose files can have NMS inside; `.mlmodel` of a detector always does."""

ALL = "all"
"""In the place of formats' names: each of `EXPORTERS`, as far as network and machine allow."""


def stem_of(precision: str) -> str:
    """Stem of the names of files with weights of a precision."""
    return "model" if precision == "fp32" else f"model_{precision}"


def check_asked(formats: Sequence[str] | None, precisions: Sequence[str]) -> None:
    """Refuse what cannot be exported, whatever the network; imports none of the packages.

    Args:
        formats: Names asked for, or `ALL`; None for the template's.
        precisions: Precisions asked for.

    Raises:
        UserError: A format or precision is unknown, or there is none.
        MissingPackageError: A package that a format needs is not installed.
    """
    if formats is not None and ALL in formats:
        if len(formats) > 1:
            raise UserError(f"formats {', '.join(formats)}: expected {ALL} alone, or names")
        formats = None
    for what, asked, able in (
        ("precision", precisions, get_args(ExportPrecision)),
        ("format", formats, tuple(EXPORTERS)),
    ):
        if asked is not None and not asked:
            raise UserError(f"no {what} to export: expected some of {', '.join(able)}")
        for one in asked or ():
            if one not in able:
                raise UserError(f"{what} {one!r}: expected some of {', '.join(able)}")
    missing = missing_of(package for name in formats or () for package in EXPORTERS[name].packages)
    if missing is not None:
        raise missing


def writer_of(name: str) -> Writer:
    """The module that writes a format."""
    return cast(Writer, importlib.import_module(f".{EXPORTERS[name].module}", __package__))


def missing_of(packages: Iterable[str]) -> MissingPackageError | None:
    """The error for the first package that is not installed; None if all are."""
    return next((MissingPackageError(one) for one in packages if find_spec(one) is None), None)
