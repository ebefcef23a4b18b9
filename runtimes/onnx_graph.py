"""Look into an `.onnx` file that has our contract before ONNX Runtime makes a session of it.

Only the names of operations and of their results are read, from the protobuf's wire format, as the
package `onnx` need not be installed and weights need not be copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ModelFileError
from ..model_templates.contract import CONTRACT_KEY
from .session import Shape
from .sizes import check_values, values_in

_GRAPH, _FUNCTIONS = 7, 25
_NODES, _OUTPUTS, _FUNCTION_NODES = 1, 12, 7
_NODE_OUTPUTS, _OPERATION, _ATTRIBUTES = 2, 4, 5
_ATTRIBUTE_GRAPHS = (6, 11)
"""Field numbers of onnx.proto: ModelProto, GraphProto and FunctionProto, NodeProto,
AttributeProto."""

SILENT = 4
"""ONNX Runtime's log severity "fatal": errors come as exceptions, and the rest is noise."""

_ENDLESS = ("Loop", "Scan")
_MAX_DEPTH = 32


def check_graph(path: Path) -> None:
    """Check that a graph has no loops, and that its arrays go with the size of its input.

    Files without our contract are other people's, and are not checked.

    Args:
        path: The file.

    Raises:
        ModelFileError: It does not hold.
    """
    import onnxruntime  # type: ignore[import-untyped]

    content = path.read_bytes()
    if CONTRACT_KEY.encode() not in content:
        return
    try:
        graphs = [part for number, part in _fields(content) if number == _GRAPH]
        functions = [part for number, part in _fields(content) if number == _FUNCTIONS]
        operations = {
            *(kind for part in graphs for kind in _operations(part, _NODES)),
            *(kind for part in functions for kind in _operations(part, _FUNCTION_NODES)),
        }
        names = [
            bytes(name)
            for part in graphs
            for number, node in _fields(part)
            if number == _NODES
            for field, name in _fields(node)
            if field == _NODE_OUTPUTS and name
        ]
        outputs = {
            bytes(name)
            for part in graphs
            for number, output in _fields(part)
            if number == _OUTPUTS
            for field, name in _fields(output)
            if field == 1
        }
    except (ValueError, IndexError) as error:
        raise ModelFileError(f"{path}: damaged, or not an .onnx file: {error}") from error
    for kind in sorted(operations.intersection(_ENDLESS)):
        raise ModelFileError(f"{path}: has an operation {kind}, which may never end")
    # Protobufs that follow each other are one: all results become outputs, whose shapes the
    # runtime finds out without computing anything.
    more = b"".join(_field(_OUTPUTS, _field(1, name)) for name in names if name not in outputs)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = 1
    # Optimisations compute constants, of any size.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    session = onnxruntime.InferenceSession(
        content + _field(_GRAPH, more), options, providers=["CPUExecutionProvider"]
    )
    (image, *_) = [_shape(node) for node in session.get_inputs()] or [()]
    check_values(values_in(map(_shape, session.get_outputs())), image, where=str(path))


def _operations(graph: memoryview, nodes: int, depth: int = 0) -> Iterator[str]:
    """Names of the operations of a graph, and of the graphs inside it."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"graphs in graphs, more than {_MAX_DEPTH} deep")
    for node in (part for number, part in _fields(graph) if number == nodes):
        for number, part in _fields(node):
            if number == _OPERATION:
                yield bytes(part).decode(errors="replace")
            elif number == _ATTRIBUTES:
                for field, inner in _fields(part):
                    if field in _ATTRIBUTE_GRAPHS:
                        yield from _operations(inner, _NODES, depth + 1)


def _fields(message: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
    """Numbers and contents of the fields of a protobuf that have a length.

    Raises:
        ValueError: It is none.
        IndexError: It is cut off.
    """
    view, position = memoryview(message), 0
    while position < len(view):
        key, position = _number(view, position)
        kind = key & 7
        if kind == 0:
            _, position = _number(view, position)
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
        elif kind == 2:
            length, position = _number(view, position)
            if position + length > len(view):
                raise ValueError("a field is longer than the file")
            yield key >> 3, view[position : position + length]
            position += length
        else:
            raise ValueError(f"a field of the unknown kind {kind}")


def _number(view: memoryview, position: int) -> tuple[int, int]:
    """A number of variable length, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = view[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("a number of more than ten bytes")


def _field(number: int, content: bytes) -> bytes:
    code, length = bytearray([number << 3 | 2]), len(content)
    while length > 127:
        code.append(length & 127 | 128)
        length >>= 7
    return bytes([*code, length]) + content


def _shape(node: Any) -> Shape:
    # Some results, such as sequences, have no shape.
    return tuple(size if isinstance(size, int) else -1 for size in node.shape or ())
