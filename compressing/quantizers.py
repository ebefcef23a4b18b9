"""Choose what compresses a float file, by format and by what was done to the weights."""

from __future__ import annotations

import importlib
import importlib.metadata
import shutil
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import PocketfaceError
from ..exporting import ExportRequest, export_model
from ..exporting.formats import writer_of
from ..exporting.place import move_model
from ..model_templates.contract import Contract
from ..models.weights import Weights
from ..runtimes.seal import model_files
from ..runtimes.session import Session
from .formats import FLOAT


class Quantizer(Protocol):
    """Interface of the modules of `QUANTIZERS`, and of the classes that replace them."""

    @property
    def PACKAGE(self) -> str:
        """The package that quantizes; empty if none does."""

    @property
    def MEASURES(self) -> bool:
        """Whether it measures ranges on photos."""

    def layers(self, path: Path) -> list[str]:
        """Names of a file's layers that can be kept float, in order."""

    def quantize(
        self,
        path: Path,
        target: Path,
        contract: Contract,
        batches: Sequence[NDArray[np.float32]],
        keep_float: Collection[str] = (),
    ) -> None:
        """Write the compressed file `target` from the float file at `path`."""


@runtime_checkable
class Restoring(Quantizer, Protocol):
    """A quantizer that finds by itself which layers must stay float."""

    def restore(
        self,
        path: Path,
        target: Path,
        contract: Contract,
        batches: Sequence[NDArray[np.float32]],
        *,
        loss: Callable[[Session, Sequence[int]], float],
        count: int,
        max_loss: float,
    ) -> list[str]:
        """Write `target` from the float file at `path`, with some of `layers` float.

        Args:
            path: See `quantize`.
            target: See `quantize`.
            contract: See `quantize`.
            batches: See `quantize`.
            loss: Loss of a session on the validation samples with the given indices.
            count: Number of validation samples.
            max_loss: Largest loss, beyond the float file's, on all samples.

        Returns:
            The layers that stay float.
        """


@dataclass(frozen=True, eq=False)
class Tuned:
    """Weights after fine-tuning or pruning, from which files are made.

    Attributes:
        weights: The weights. Formats other than OpenVINO ignore any quantizers in them.
        quantized: Whether the weights have NNCF's quantizers.
        name: Part of the names of files that are not quantized: "sparse", "pruned".
        method: What was done, in words.
        sparsity: Share of zeros among the layers' weights, 0 to 1; None if not asked for.
    """

    weights: Weights
    quantized: bool
    name: str
    method: str
    sparsity: float | None = None


def quantizer_for(name: str, precision: str, tuned: Tuned | None = None) -> Quantizer:
    """The quantizer for a format and precision, and for tuned weights if there are any."""
    if precision in FLOAT:
        return AsItIs(name)
    if name == "openvino" and tuned is not None and tuned.quantized:
        return DuringTraining(tuned.weights)
    return cast(Quantizer, importlib.import_module(f".{name}", __package__))


def method_of(quantizer: Quantizer, precision: str) -> str:
    """The method and version of a quantizer, in words."""
    package = quantizer.PACKAGE
    return (
        f"{precision} by {package} {importlib.metadata.version(package)}" if package else precision
    )


class DuringTraining:
    """Writes int8 files of a checkpoint that has its quantizers already."""

    PACKAGE = "nncf"
    MEASURES = True  # before the training

    def __init__(self, checkpoint: Weights) -> None:
        self._checkpoint = checkpoint

    def layers(self, _: Path) -> list[str]:
        """Empty, as the quantized layers are fixed since training."""
        return []

    def quantize(self, _: Path, target: Path, contract: Contract, *_others: Any) -> None:
        """Export the checkpoint with `contract` in place of its own."""
        size = (contract.input.height, contract.input.width)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            report = export_model(
                ExportRequest(
                    weights=self._checkpoint,
                    folder=Path(scratch),
                    formats=["openvino"],
                    input_size=size,
                    verify=False,
                )
            )
            if not report.paths:
                raise PocketfaceError(str(report.files[0].reason))
            made = report.paths[0]
            assert made.name == target.name
            writer_of("openvino").embed(made, contract)
            move_model(made, target.parent)


class AsItIs:
    """Takes files as the exporter wrote them: FP16, sparse or pruned ones."""

    PACKAGE = ""
    MEASURES = False

    def __init__(self, name: str) -> None:
        self._writer = writer_of(name)

    def layers(self, _: Path) -> list[str]:
        """Empty, as nothing is quantized."""
        return []

    def quantize(self, path: Path, target: Path, contract: Contract, *_others: Any) -> None:
        """Copy the file."""
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        else:
            for part in model_files(path):
                shutil.copyfile(part, target.with_suffix(part.suffix))
        self._writer.embed(target, contract)
