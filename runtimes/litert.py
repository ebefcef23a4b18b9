"""LiteRT (TensorFlow Lite): `.tflite`, with the contract in the flatbuffer's metadata."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cores import cores
from ..errors import MissingPackageError, ModelFileError, UserError
from ..model_templates.contract import CONTRACT_KEY
from ..models.file_checks import reason
from ..quiet import quiet
from .litert_graph import check_graphs
from .session import Outputs, Session, Shape
from .tensorflow import import_tensorflow

SIGNATURE = "serving_default"
"""Name of the signature in our files."""


def open_session(path: Path, *, threads: int | None, device: str) -> Session:
    """Open a LiteRT file.

    Args:
        path: The `.tflite` file.
        threads: Threads for one inference; None for one per core.
        device: "cpu"; in Python, LiteRT has no other.

    Raises:
        MissingPackageError: Neither ai-edge-litert nor TensorFlow is installed.
        ModelFileError: LiteRT cannot load the file.
        UserError: The device does not exist.
    """
    if device != "cpu":
        raise UserError(f"device {device!r}: not usable by LiteRT in Python; expected cpu")
    count = threads or cores()  # LiteRT's own default is one
    interpreter_class = _interpreter_class()
    content = path.read_bytes()
    check_graphs(import_schema(), content, path)

    def open_interpreter() -> Any:
        with quiet():  # it prints that it made a delegate
            interpreter = interpreter_class(model_content=content, num_threads=count)
            interpreter.allocate_tensors()
        return interpreter

    try:
        first = open_interpreter()
        signatures = first.get_signature_list()
        if SIGNATURE not in signatures:
            raise ModelFileError(f"{path}: has no signature {SIGNATURE}, as ours have")
        runner = first.get_signature_runner(SIGNATURE)
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
    except (ValueError, RuntimeError) as error:
        raise ModelFileError(
            f"{path}: LiteRT cannot load it, is it whole? {reason(error)}"
        ) from error
    (input_name,) = inputs if len(inputs) == 1 else [""]
    local = threading.local()
    local.runner, local.keep = runner, first

    def run(batch: NDArray[np.float32]) -> Outputs:
        # An interpreter is not thread-safe, so each thread has its own.
        if not hasattr(local, "runner"):
            local.keep = open_interpreter()
            local.runner = local.keep.get_signature_runner(SIGNATURE)
        image = np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
        answers: Outputs = local.runner(**{input_name: image})
        return answers

    return Session(
        runtime="litert",
        device=device,
        contract_json=read_metadata(content, CONTRACT_KEY),
        input_shapes={name: _shape(detail) for name, detail in inputs.items()},
        output_shapes={name: _shape(detail) for name, detail in outputs.items()},
        run=run,
    )


def read_metadata(content: bytes, key: str) -> str | None:
    """An entry of a model's `metadata` table as text; None if there is none."""
    schema = import_schema()
    model = schema.Model.GetRootAs(content)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == key.encode():
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy()).decode(errors="replace")
    return None


def import_schema() -> Any:
    """Import the classes generated from the flatbuffer schema.

    Raises:
        MissingPackageError: Neither ai-edge-litert nor TensorFlow is installed.
    """
    try:
        from ai_edge_litert import schema_py_generated  # type: ignore[import-untyped]
    except ImportError:
        try:
            from tensorflow.lite.python import schema_py_generated  # type: ignore
        except ImportError as error:
            raise MissingPackageError("ai_edge_litert") from error
    return schema_py_generated


def _interpreter_class() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped]
    except ImportError:
        try:
            Interpreter = import_tensorflow().lite.Interpreter
        except MissingPackageError:
            raise MissingPackageError("ai_edge_litert") from None
    return Interpreter


def _shape(detail: dict[str, Any]) -> Shape:
    return tuple(int(size) for size in detail["shape_signature"])
