"""Check a `.tflite` file for what LiteRT takes for granted: it would crash otherwise.

LiteRT verifies the flatbuffer itself (that tables and vectors lie within the file), but not that
the graph's indices and counts make sense.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError
from ..models.file_checks import reason
from .session import Shape
from .sizes import check_values, values_in

_ENDLESS = ("WHILE", "STABLEHLO_WHILE", "CALL", "CALL_ONCE")


def check_graphs(schema: Any, content: bytes, path: Path) -> None:
    """Check indices, counts and sizes of all graphs of a file.

    Args:
        schema: The module of the classes generated from the flatbuffer schema.
        content: The file.
        path: Its path, for error messages.

    Raises:
        ModelFileError: LiteRT would crash on it, need more memory than goes with the size of its
            input, or never end.
    """
    if content[4:8] != b"TFL3":
        raise ModelFileError(f"{path}: damaged, or not a .tflite file")
    try:
        problem = _problem(schema, schema.Model.GetRootAs(content))
        sizes = [_sizes(graph) for graph in _all(schema.Model.GetRootAs(content), "Subgraphs")]
    except Exception as error:  # the classes raise anything on damaged files
        raise ModelFileError(f"{path}: damaged: {reason(error)}") from error
    if problem:
        raise ModelFileError(f"{path}: damaged: {problem}")
    for values, image in sizes:
        check_values(values, image, where=str(path))


def _problem(schema: Any, model: Any) -> str | None:
    graphs = _all(model, "Subgraphs")
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    kinds = [
        names.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "")
        for code in _all(model, "OperatorCodes")
    ]
    for signature in _all(model, "SignatureDefs"):
        if signature.SubgraphIndex() >= len(graphs):
            return f"a signature of graph {signature.SubgraphIndex()} of {len(graphs)}"
    for graph in graphs:
        for index, operator in enumerate(_all(graph, "Operators")):
            if operator.OpcodeIndex() >= len(kinds):
                return f"operator {index} is of none of its kinds"
            kind = kinds[operator.OpcodeIndex()]
            if kind in _ENDLESS:
                return f"operator {index} is a {kind}, which may never end"
            inputs, outputs = _numbers(operator, "Inputs"), _numbers(operator, "Outputs")
            if len(inputs) < _INPUTS.get(kind, 1) or not len(outputs):
                return f"operator {index}, {kind}, has {len(inputs)} inputs, {len(outputs)} outputs"
    return None


_INPUTS = dict.fromkeys(
    (
        "ADD", "BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "DIV", "FULLY_CONNECTED", "GATHER",
        "MAXIMUM", "MEAN", "MINIMUM", "MUL", "PAD", "PADV2", "PRELU", "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SLICE", "SPLIT", "STRIDED_SLICE", "SUB", "TILE",
        "TRANSPOSE", "TRANSPOSE_CONV",
    ),
    2,
)  # fmt: skip
"""Operations that read more inputs than one without asking how many there are."""


def _sizes(graph: Any) -> tuple[int, Shape]:
    """Number of values of a graph's arrays, and the shape of its first input."""
    tensors = [_numbers(tensor, "Shape") for tensor in _all(graph, "Tensors")]
    inputs = _numbers(graph, "Inputs")
    image = tensors[inputs[0]] if len(inputs) else np.zeros(0, np.int32)
    return values_in(map(_shape, tensors)), _shape(image)


def _shape(sizes: NDArray[np.int32]) -> Shape:
    return tuple(map(int, sizes))


def _all(table: Any, name: str) -> list[Any]:
    """The tables of a vector."""
    return [getattr(table, name)(index) for index in range(getattr(table, f"{name}Length")())]


def _numbers(table: Any, name: str) -> NDArray[np.int32]:
    """A vector of numbers."""
    if not getattr(table, f"{name}Length")():
        return np.zeros(0, np.int32)
    found: NDArray[np.int32] = getattr(table, f"{name}AsNumpy")()
    return found
