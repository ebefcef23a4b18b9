"""Check what a SavedModel does before TensorFlow loads it.

A SavedModel is a program: TensorFlow has operations that write and read files, and runs what a
graph names (tensorflow/SECURITY.md). A face model needs arithmetic alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ModelFileError
from .sizes import check_values, values_in

ARITHMETIC = frozenset((
    "Abs", "Add", "AddN", "AddV2", "ArgMax", "ArgMin", "AvgPool", "BatchMatMul",
    "BatchMatMulV2", "BatchMatMulV3", "BatchToSpaceND", "BiasAdd", "Cast", "Ceil",
    "ClipByValue", "Concat", "ConcatV2", "Const", "Conv2D", "DepthToSpace",
    "DepthwiseConv2dNative", "DisableCopyOnRead", "Div", "DivNoNan", "Einsum", "Elu",
    "EnsureShape", "Equal", "Erf", "Exp", "ExpandDims", "Floor", "FloorDiv", "FloorMod",
    "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "Gather", "GatherNd", "GatherV2",
    "Greater", "GreaterEqual", "Identity", "IdentityN", "Inv", "LeakyRelu", "Less", "LessEqual",
    "Log", "Log1p", "LogSoftmax", "LogicalAnd", "LogicalNot", "LogicalOr", "MatMul", "Max",
    "MaxPool", "MaxPoolV2", "Maximum", "Mean", "Min", "Minimum", "Mul", "Neg", "NoOp",
    "NotEqual", "Pack", "Pad", "PadV2", "PartitionedCall", "Placeholder",
    "PlaceholderWithDefault", "Pow", "PreventGradient", "Prod", "ReadVariableOp", "RealDiv",
    "Reciprocal", "Relu", "Relu6", "Reshape", "ResizeArea", "ResizeBicubic", "ResizeBilinear",
    "ResizeNearestNeighbor", "ReverseV2", "Round", "Rsqrt", "Select", "SelectV2", "Selu",
    "Shape", "ShapeN", "Sigmoid", "Sign", "Size", "Slice", "Snapshot", "Softmax", "Softplus",
    "Softsign", "SpaceToBatchND", "SpaceToDepth", "Split", "SplitV", "Sqrt", "Square",
    "SquaredDifference", "Squeeze", "StatefulPartitionedCall", "StopGradient", "StridedSlice",
    "Sub", "Sum", "Tanh", "Transpose", "Unpack", "VarHandleOp", "VarIsInitializedOp",
    "ZerosLike",
))  # fmt: skip
"""Operations that compute their outputs from their inputs and the model's variables."""

_FREE_CONSTANTS = 64 << 20
"""Values that constants may have beyond those in the file."""

_SAVING = frozenset((
    "AssignVariableOp", "MergeV2Checkpoints", "RestoreV2", "SaveV2", "Select",
    "ShardedFilename", "StaticRegexFullMatch", "StringJoin",
))  # fmt: skip
"""What else is in the functions that save and restore variables, which nothing here calls."""


def check_operations(path: Path) -> None:
    """Check the operations of a SavedModel, and the size of its constants.

    Args:
        path: The folder.

    Raises:
        ModelFileError: An operation is not of `ARITHMETIC`, a function calls itself, or the folder
            is none of a SavedModel of TensorFlow 2.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.protobuf import saved_model_pb2  # type: ignore[import-untyped]

    for other in ("saved_model.pbtxt", "saved_model.cpb"):
        if (path / other).exists():
            raise ModelFileError(f"{path}: has a {other}: expected a saved_model.pb alone")
    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((path / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise ModelFileError(f"{path}: saved_model.pb: no SavedModel, or damaged") from error
    if len(model.meta_graphs) != 1 or not model.meta_graphs[0].object_graph_def.nodes:
        raise ModelFileError(f"{path}: expected one graph, of TensorFlow 2")
    (meta,) = model.meta_graphs
    functions = {one.signature.name: one.node_def for one in meta.graph_def.library.function}
    if meta.asset_file_def:
        raise ModelFileError(f"{path}: reads files: expected none")
    called = _called(functions, sorted(meta.object_graph_def.concrete_functions), where=path)
    values = 0
    for name, nodes in {"": meta.graph_def.node, **functions}.items():
        known = ARITHMETIC if name in called else ARITHMETIC | _SAVING
        for node in nodes:
            if node.op not in known:
                raise ModelFileError(
                    f"{path}: has an operation {node.op[:80]!r}: expected arithmetic alone"
                )
            if node.op == "Const":
                sizes = (max(d.size, 1) for d in node.attr["value"].tensor.tensor_shape.dim)
                values += math.prod(sizes)
    # A byte or more for each that is in the file; the others repeat one value.
    if values > model.ByteSize() + _FREE_CONSTANTS:
        raise ModelFileError(f"{path}: has constants of {values:,} values, more than are in it")


def check_arrays(function: Any, path: Path) -> None:
    """Check that a function's arrays go with the size of its input.

    Args:
        function: The signature's concrete function.
        path: The folder.

    Raises:
        ModelFileError: They do not.
    """
    from tensorflow.python.framework.convert_to_constants import (  # type: ignore[import-untyped]
        convert_variables_to_constants_v2,
    )

    # Its functions in one graph, with all shapes; only the number of images may be free.
    graph = convert_variables_to_constants_v2(function).graph
    computed = [o for o in graph.get_operations() if o.type not in ("Const", "Identity")]
    shapes = [_shape(one) for operation in computed for one in operation.outputs]
    if any(-1 in shape[1:] for shape in shapes):
        raise ModelFileError(f"{path}: has arrays whose sizes are not known before it runs")
    values = values_in(shapes)
    (image, *_) = [_shape(one) for one in function.inputs] or [()]
    check_values(values, image, where=str(path))


def _shape(tensor: Any) -> tuple[int, ...]:
    rank = tensor.shape.rank
    return (-1, -1) if rank is None else tuple(size or -1 for size in tensor.shape.as_list())


def _called(functions: dict[str, Any], first: list[str], *, where: Path) -> set[str]:
    """Names of the functions that these call, and of those that they call in turn."""
    done: set[str] = set()
    # Functions under way, each with those that it calls and that are still to be looked at.
    way: list[tuple[str, Iterator[str]]] = [("", iter(first))]
    while way:
        name = next(way[-1][1], None)
        if name is None:
            done.add(way.pop()[0])
        elif any(name == one for one, _ in way):
            raise ModelFileError(f"{where}: its function {name[:80]!r} calls itself")
        elif name in functions and name not in done:
            way.append((name, _callees(functions[name])))
    return done


def _callees(nodes: Any) -> Iterator[str]:
    for node in nodes:
        for value in node.attr.values():
            if value.HasField("func"):
                yield value.func.name
            yield from (one.name for one in value.list.func)
