"""Core ML: `.mlmodel` and `.mlpackage`; Apple's framework on a Mac, our reference elsewhere."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingPackageError, ModelFileError, UserError
from ..model_templates.contract import CONTRACT_KEY
from ..models.file_checks import is_inside, reason
from ..quiet import IMPORTING, quiet
from .seal import model_files
from .session import Outputs, Session, Shape

_UNITS = {"cpu": "CPU_ONLY", "gpu": "CPU_AND_GPU", "ane": "CPU_AND_NE", "all": "ALL"}
_FREE = -1

Run = Callable[[NDArray[np.float32]], Outputs]
"""Type of `Session.run`."""


def open_session(path: Path, *, threads: int | None, device: str) -> Session:
    """Open a Core ML file.

    Args:
        path: The `.mlmodel` or `.mlpackage`.
        threads: Threads of the reference, set in PyTorch for the whole process.
        device: "cpu"; on a Mac also "gpu", "ane" (Neural Engine) and "all".

    Raises:
        MissingPackageError: coremltools, or off a Mac PyTorch, is not installed.
        ModelFileError: The file is not a Core ML model, leads out of its package, or the reference
            cannot run it.
        UserError: The device does not exist.
    """
    usable = _UNITS if sys.platform == "darwin" else ["cpu"]
    if device not in usable:
        raise UserError(
            f"device {device!r}: not usable by Core ML here; expected one of {', '.join(usable)}"
        )
    if path.is_dir():
        _check_manifest(path)
    coremltools = import_coremltools()
    spec = read_spec(path)
    labels = class_labels(spec)
    inputs = _shapes(spec.description.input, labels)
    outputs = _shapes(spec.description.output, labels)
    if sys.platform == "darwin":
        run = _apple(path, spec, labels, coremltools, device)
    else:
        run = _reference(path, spec, threads)
    return Session(
        runtime="coreml" if sys.platform == "darwin" else "coreml-reference",
        device=device,
        contract_json=spec.description.metadata.userDefined.get(CONTRACT_KEY),
        # Inputs without a shape are thresholds with defaults.
        input_shapes={name: shape for name, shape in inputs.items() if shape},
        # Outputs without a shape are a classifier's label, which is text.
        output_shapes={name: shape for name, shape in outputs.items() if shape},
        run=run,
    )


def read_spec(path: Path) -> Any:
    """The `Model` protobuf of a file.

    Raises:
        MissingPackageError: coremltools is not installed.
        ModelFileError: The file cannot be read.
    """
    import_coremltools()
    from coremltools.proto import Model_pb2  # type: ignore[import-untyped]
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    source = model_files(path)[0]
    spec = Model_pb2.Model()
    try:
        spec.ParseFromString(source.read_bytes())
    except (OSError, DecodeError) as error:
        raise ModelFileError(f"{path}: no Core ML model, or damaged: {reason(error)}") from error
    if spec.WhichOneof("Type") is None:
        raise ModelFileError(f"{path}: no Core ML model")
    return spec


def _check_manifest(path: Path) -> None:
    """Check that a package's manifest names files of the package alone: Apple reads by it.

    Raises:
        ModelFileError: It does not, or is damaged.
    """
    name = f"{path}: Manifest.json"
    try:
        entries = json.loads((path / "Manifest.json").read_bytes())["itemInfoEntries"]
        ways = [str(entry["path"]) for entry in entries.values()]
    except (OSError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{name}: damaged, or missing: {reason(error)}") from error
    for way in ways:
        if not is_inside(path / "Data" / way, path):
            raise ModelFileError(f"{name}: names {way[:80]!r}, which is not in the package")


def class_labels(spec: Any) -> list[str]:
    """A classifier's labels in the order of its probabilities; empty for other models."""
    kind = spec.WhichOneof("Type")
    if kind == "neuralNetworkClassifier":
        return list(spec.neuralNetworkClassifier.stringClassLabels.vector)
    if kind != "mlProgram":
        return []
    main = spec.mlProgram.functions["main"]
    for operation in main.block_specializations[main.opset].operations:
        if operation.type == "classify":
            (classes,) = operation.inputs["classes"].arguments
            return [
                value.immediateValue.tensor.strings.values[0]
                for value in classes.value.immediateValue.list.values
            ]
    return []


def import_coremltools() -> Any:
    """Import coremltools, without its messages about other packages.

    Raises:
        MissingPackageError: coremltools is not installed.
    """
    with IMPORTING, _without("tensorflow"), quiet():
        try:
            import coremltools  # type: ignore[import-untyped]
        except ImportError as error:
            raise MissingPackageError("coremltools") from error
    # It warns about untested versions of other packages, and about parts that Linux lacks.
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    return coremltools


@contextmanager
def _without(package: str) -> Iterator[None]:
    """Hide a package from imports in a block: it takes seconds to import and is not needed."""
    if package in sys.modules or "coremltools" in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


def _reference(path: Path, spec: Any, threads: int | None) -> Run:
    try:
        import torch
    except ImportError as error:
        raise MissingPackageError("torch") from error
    from .coreml_reference import function_of

    if threads is not None:
        torch.set_num_threads(threads)
    folder = model_files(path)[0].parent if path.is_dir() else None
    function = function_of(spec, folder, where=str(path))

    def run(batch: NDArray[np.float32]) -> Outputs:
        return function.run(batch, {})

    return run


def _apple(path: Path, spec: Any, labels: list[str], coremltools: Any, device: str) -> Run:
    from PIL import Image

    units = getattr(coremltools.ComputeUnit, _UNITS[device])
    try:
        model = coremltools.models.MLModel(str(path), compute_units=units)
    except Exception as error:  # coremltools's exceptions have no common base
        raise ModelFileError(f"{path}: Core ML cannot load it: {error}") from error
    (image,) = (i.name for i in spec.description.input if i.type.WhichOneof("Type") == "imageType")

    def run(batch: NDArray[np.float32]) -> Outputs:
        # coremltools takes RGB images with 8 bits per channel.
        pixels = batch[0].transpose(1, 2, 0)[..., ::-1].round().astype(np.uint8)
        found = model.predict({image: Image.fromarray(np.ascontiguousarray(pixels))})
        return {
            name: _array(value, labels)
            for name, value in found.items()
            if not isinstance(value, str)
        }

    return run


def _array(value: Any, labels: list[str]) -> NDArray[np.float32]:
    """What coremltools gives for an output: a dictionary, a picture of Pillow's, or an array."""
    if isinstance(value, dict):
        return np.array([[value[label] for label in labels]], np.float32)
    array = np.asarray(value, np.float32)
    return array[None, None] if hasattr(value, "getbands") else array


def _shapes(features: Any, labels: list[str]) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    for feature in features:
        kind = feature.type.WhichOneof("Type")
        if kind == "imageType":
            image = feature.type.imageType
            channels = 1 if image.colorSpace == image.GRAYSCALE else 3
            shapes[feature.name] = (1, channels, int(image.height), int(image.width))
        elif kind == "multiArrayType":
            array = feature.type.multiArrayType
            ranges = array.shapeRange.sizeRanges
            fixed = [int(size) for size in array.shape]
            free = [_FREE if r.lowerBound != r.upperBound else int(r.lowerBound) for r in ranges]
            shapes[feature.name] = tuple(free or fixed)
        elif kind == "dictionaryType":
            shapes[feature.name] = (1, len(labels))
        else:
            shapes[feature.name] = ()
    return shapes
