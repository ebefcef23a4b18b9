"""Trained weights to model files: one file per format, all or nothing, checked before they stay."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from ..errors import MissingPackageError, UserError
from ..model_templates import find_template
from .onnx import export_onnx
from .openvino import export_openvino
from .report import ExportReport, Parity

if TYPE_CHECKING:
    from ..model_templates.schema import Template
    from ..models.weights import Weights

ExportPrecision = Literal["fp32", "fp16"]

EXPORTERS: dict[str, Callable[..., list[Path]]] = {
    "openvino": export_openvino,
    "onnx": export_onnx,
}
"""By format. Each takes (network, contract, *, folder, precision) and returns the files written,
a pair's main file last."""


def export_model(
    *,
    weights: Path | None,
    template: str | Path | None,
    folder: Path,
    formats: Sequence[str] | None = None,
    precision: ExportPrecision = "fp32",
    input_size: tuple[int, int] | None = None,
    verify: bool = True,
) -> ExportReport:
    """Write model files, each with its contract inside.

    Files that were in `folder` are replaced when everything has been written and verified; a
    failure leaves them as they were.

    Args:
        weights: A `.safetensors` or `.pth` file; None for the weights that ship with `template`.
        template: Name or path; None for the one inside `weights`. Where both are given, the
            architectures must be equal, and all else is taken from `template`.
        folder: Where to; made if missing.
        formats: Keys of `EXPORTERS`; None for the template's `output_format`.
        precision: Of the stored weights.
        input_size: Height and width in pixels instead of the template's.
        verify: Compare each file's raw outputs with PyTorch's.

    Returns:
        What was written, and how far it is from PyTorch.

    Raises:
        UserError: No weights, an unknown format or precision, an input size that the template
            does not allow, a folder that cannot be written; or see `read_weights`, `load_template`.
        MissingPackageError: A package that a format needs is not installed.
        PocketfaceError: A written file differs from PyTorch by more than `parity.LIMITS`.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("torch", extra="train") from error
    from ..models.weights import build_network, contract_for

    if precision not in get_args(ExportPrecision):
        raise UserError(
            f"precision {precision!r}: expected one of {', '.join(get_args(ExportPrecision))}"
        )
    read, used = _read(weights, template)
    chosen = _formats(formats, used)
    height, width = input_size or (None, None)
    contract = contract_for(used, weights=read, height=height, width=width, precision=precision)
    network = build_network(read)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Inside the folder: the same file system, so that the last step is only a change of names.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
            written: list[Path] = []
            parity: list[Parity] = []
            for name in chosen:
                files = EXPORTERS[name](
                    network, contract, folder=Path(scratch), precision=precision
                )
                written.extend(files)
                if verify:
                    from .parity import verify as compare

                    parity.append(compare(network, contract, files[-1], precision=precision))
            moved = _move(written, folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return ExportReport(
        files=tuple(moved.values()),
        contract=contract,
        parity=tuple(Parity(moved[one.file], one.runtime, one.box_px, one.score) for one in parity),
    )


def _read(weights: Path | None, template: str | Path | None) -> tuple[Weights, Template]:
    """The weights, and the template to describe them by."""
    from ..model_templates.schema import load_template
    from ..models.weights import read_weights, read_weights_for, shipped_weights

    path = None if template is None else find_template(template)
    if weights is None:
        if path is None:
            raise UserError("nothing to export: expected weights, or a template that ships some")
        weights = shipped_weights(path)
        if weights is None:
            raise UserError(
                f"template {template} ships no weights",
                hint="train it, and name the checkpoint with --load-weights",
            )
    if path is None:
        read = read_weights(Path(weights))
        return read, read.template
    return read_weights_for(Path(weights), path), load_template(path)


def _formats(formats: Sequence[str] | None, template: Template) -> list[str]:
    if formats is None:
        formats = [name for name, wanted in template.output_format if wanted]
    for name in formats:
        if name not in EXPORTERS:
            raise UserError(f"format {name!r}: expected some of {', '.join(EXPORTERS)}")
    if not formats:
        raise UserError(f"no format to export: expected some of {', '.join(EXPORTERS)}")
    return list(dict.fromkeys(formats))


def _move(files: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Everything written must be on disk before the first name changes."""
    for file in files:
        with open(file, "rb") as handle:
            os.fsync(handle.fileno())
    moved = {file: folder / file.name for file in files}
    for source, target in moved.items():
        os.replace(source, target)
    return moved


__all__ = ["EXPORTERS", "ExportReport", "Parity", "export_model"]
