"""Look into an `.onnx` file before a runtime makes a session of it.

Only the names of operations, of their results and of other files are read, from the protobuf's wire
format, as the package `onnx` need not be installed and weights need not be copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import ModelFileError
from ..model_templates.contract import CONTRACT_KEY
from .protobuf import field, fields
from .session import Shape
from .sizes import check_values, values_in

_GRAPH, _FUNCTIONS = 7, 25
_NODES, _OUTPUTS, _FUNCTION_NODES = 1, 12, 7
_NODE_OUTPUTS, _OPERATION, _ATTRIBUTES = 2, 4, 5
_ATTRIBUTE_GRAPHS = (6, 11)
"""Field numbers of onnx.proto: ModelProto, GraphProto and FunctionProto, NodeProto,
AttributeProto."""

_TENSOR, _SPARSE, _NODE, _ATTRIBUTE, _SOME_GRAPH, _FUNCTION = range(6)
_PARTS = {
    _SOME_GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {
        5: _TENSOR, 6: _SOME_GRAPH, 10: _TENSOR, 11: _SOME_GRAPH, 22: _SPARSE, 23: _SPARSE,
    },
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
}  # fmt: skip
"""For each kind of message that has tensors in it, the field numbers of their kinds."""

_EXTERNAL_DATA = 13
"""Field number of TensorProto: where its values are, if they are in another file."""

SILENT = 4
"""ONNX Runtime's log severity "fatal": errors come as exceptions, and the rest is noise."""

_ENDLESS = ("Loop", "Scan")
_MAX_DEPTH = 32


def check_whole(content: bytes, *, source: str) -> None:
    """Check that a file has all of its weights in itself, ours or another's.

    Others would be read from any place it names, unseen by the seal and the limit of size.

    Args:
        content: The file's content.
        source: The file, for error messages.

    Raises:
        ModelFileError: It does not hold.
    """
    try:
        for number, part in fields(content):
            kind = {_GRAPH: _SOME_GRAPH, _FUNCTIONS: _FUNCTION}.get(number)
            name = None if kind is None else _other_file(part, kind)
            if name is not None:
                raise ModelFileError(
                    f"{source}: has weights in another file, {name}: expected all in one",
                    hint="onnx.save(onnx.load(FILE), ANOTHER) writes one file",
                )
    except (ValueError, IndexError) as error:
        raise ModelFileError(f"{source}: damaged, or not an .onnx file: {error}") from error


def check_graph(content: bytes, *, source: str) -> None:
    """Check that a graph has no loops, and that its arrays go with the size of its input.

    Files without our contract are other people's, and are not checked.

    Args:
        content: The file's content.
        source: The file, for error messages.

    Raises:
        ModelFileError: It does not hold.
    """
    import onnxruntime  # type: ignore[import-untyped]

    if CONTRACT_KEY.encode() not in content:
        return
    try:
        graphs = [part for number, part in fields(content) if number == _GRAPH]
        functions = [part for number, part in fields(content) if number == _FUNCTIONS]
        operations = {
            *(kind for part in graphs for kind in _operations(part, _NODES)),
            *(kind for part in functions for kind in _operations(part, _FUNCTION_NODES)),
        }
        names = [
            bytes(name)
            for part in graphs
            for number, node in fields(part)
            if number == _NODES
            for place, name in fields(node)
            if place == _NODE_OUTPUTS and name
        ]
        outputs = {
            bytes(name)
            for part in graphs
            for number, output in fields(part)
            if number == _OUTPUTS
            for place, name in fields(output)
            if place == 1
        }
    except (ValueError, IndexError) as error:
        raise ModelFileError(f"{source}: damaged, or not an .onnx file: {error}") from error
    for kind in sorted(operations.intersection(_ENDLESS)):
        raise ModelFileError(f"{source}: has an operation {kind}, which may never end")
    # Protobufs that follow each other are one: all results become outputs, whose shapes the
    # runtime finds out without computing anything.
    more = b"".join(field(_OUTPUTS, field(1, name)) for name in names if name not in outputs)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = 1
    # Optimisations compute constants, of any size.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    session = onnxruntime.InferenceSession(
        content + field(_GRAPH, more), options, providers=["CPUExecutionProvider"]
    )
    (image, *_) = [_shape(node) for node in session.get_inputs()] or [()]
    check_values(values_in(map(_shape, session.get_outputs())), image, where=source)


def _operations(graph: memoryview, nodes: int, depth: int = 0) -> Iterator[str]:
    """Names of the operations of a graph, and of the graphs inside it."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"graphs in graphs, more than {_MAX_DEPTH} deep")
    for node in (part for number, part in fields(graph) if number == nodes):
        for number, part in fields(node):
            if number == _OPERATION:
                yield bytes(part).decode(errors="replace")
            elif number == _ATTRIBUTES:
                for place, inner in fields(part):
                    if place in _ATTRIBUTE_GRAPHS:
                        yield from _operations(inner, _NODES, depth + 1)


def _other_file(message: memoryview, kind: int, depth: int = 0) -> str | None:
    """The file in which a tensor of a message has its values, if there is one."""
    if depth > 3 * _MAX_DEPTH:  # graph, node, attribute
        raise ValueError(f"graphs in graphs, more than {_MAX_DEPTH} deep")
    if kind == _TENSOR:
        entries = [
            dict(fields(part)) for number, part in fields(message) if number == _EXTERNAL_DATA
        ]
        names = [one.get(2, b"") for one in entries if bytes(one.get(1, b"")) == b"location"]
        return repr(bytes(names[0]).decode(errors="replace")) if names else None
    for number, part in fields(message):
        if number in _PARTS[kind]:
            name = _other_file(part, _PARTS[kind][number], depth + 1)
            if name is not None:
                return name
    return None


def _shape(node: Any) -> Shape:
    # Some results, such as sequences, have no shape.
    return tuple(size if isinstance(size, int) else -1 for size in node.shape or ())
