"""Forged `.tflite` files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .forged_any import Forge, each


def set_contract(path: Path, change: Callable[[str], str]) -> None:
    """Change the contract of a file."""

    def edit(model: Any) -> None:
        entry = next(one for one in model.metadata if one.name == b"pocketface.contract")
        buffer = model.buffers[entry.buffer]
        text = change(bytes(buffer.data).decode())
        buffer.data = np.frombuffer(text.encode(), np.uint8)

    _edit(edit)(path)


def _edit(change: Callable[[Any], object]) -> Forge:
    def forge(path: Path) -> None:
        import flatbuffers  # type: ignore[import-untyped]

        from pocketface.runtimes.litert import import_schema

        model = import_schema().ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        change(model)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        path.write_bytes(bytes(builder.Output()))

    return forge


def _at(position: int, value: int) -> Forge:
    def forge(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[position : position + 4] = value.to_bytes(4, "little")
        path.write_bytes(data)

    return forge


def _graph(change: Callable[[Any], object]) -> Forge:
    return _edit(lambda model: change(model.subgraphs[0]))


def _operators(model: Any, kind: int) -> list[Any]:
    codes = [code.builtinCode for code in model.operatorCodes]
    return [one for one in model.subgraphs[0].operators if codes[one.opcodeIndex] == kind]


_CONV_2D, _RESHAPE, _WHILE = 3, 22, 119


def _convolutions(**options: int) -> Forge:
    def change(model: Any) -> None:
        for one in _operators(model, _CONV_2D):
            for key, value in options.items():
                setattr(one.builtinOptions, key, value)

    return _edit(change)


def _shapes(shape: list[int]) -> Forge:
    return _graph(lambda graph: each(graph.tensors, "shape", np.array(shape, np.int32)))


def _largest(model: Any) -> Any:
    return max(model.buffers, key=lambda b: 0 if b.data is None else len(b.data))


def _weights_shape(shape: list[int]) -> Forge:
    def change(model: Any) -> None:
        index = model.buffers.index(_largest(model))
        for tensor in model.subgraphs[0].tensors:
            if tensor.buffer == index:
                tensor.shape = np.array(shape, np.int32)

    return _edit(change)


def _while_itself(model: Any) -> None:
    from pocketface.runtimes.litert import import_schema

    schema = import_schema()
    code = schema.OperatorCodeT()
    code.builtinCode = _WHILE
    code.deprecatedBuiltinCode = _WHILE
    model.operatorCodes.append(code)
    graph = model.subgraphs[0]
    one = graph.operators[-1]
    one.opcodeIndex = len(model.operatorCodes) - 1
    one.inputs, one.outputs = graph.inputs, graph.inputs
    one.builtinOptionsType = schema.BuiltinOptions.WhileOptions
    one.builtinOptions = schema.WhileOptionsT()
    one.builtinOptions.condSubgraphIndex = one.builtinOptions.bodySubgraphIndex = 0


def _custom(name: bytes) -> Forge:
    def change(model: Any) -> None:
        code = model.operatorCodes[0]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = 32, 32, name

    return _edit(change)


def _nan(model: Any) -> None:
    buffer = _largest(model)
    buffer.data = np.full(len(buffer.data) // 4, np.nan, np.float32).view(np.uint8)


def _external(model: Any) -> None:
    buffer = _largest(model)
    buffer.data, buffer.offset, buffer.size = None, 2**40, 2**40


def _sparse(model: Any) -> None:
    from pocketface.runtimes.litert import import_schema

    schema = import_schema()
    index = model.buffers.index(_largest(model))
    for tensor in model.subgraphs[0].tensors:
        if tensor.buffer == index:
            tensor.sparsity = schema.SparsityParametersT()
            tensor.sparsity.traversalOrder = np.array([9, 9, 9, 9], np.int32)
            tensor.sparsity.blockMap = np.array([7], np.int32)
            tensor.sparsity.dimMetadata = []


def _quantized(model: Any) -> None:
    from pocketface.runtimes.litert import import_schema

    schema = import_schema()
    for tensor in model.subgraphs[0].tensors:
        tensor.type = schema.TensorType.INT8
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.array([0.0, 1.0, np.nan], np.float32)
        tensor.quantization.zeroPoint = np.array([2**40], np.int64)
        tensor.quantization.quantizedDimension = 77


def _signature(change: Callable[[Any], object]) -> Forge:
    return _edit(lambda model: change(model.signatureDefs[0]))


def _first_input_alone(graph: Any) -> None:
    for one in graph.operators:
        one.inputs = one.inputs[:1]


FORGERIES: dict[str, Forge] = {
    "the root beyond the end": _at(0, 0x7FFFFFFF),
    "the root at -1": _at(0, 0xFFFFFFFF),
    "the root at 0": _at(0, 0),
    "another format's mark": _at(4, 0x12345678),
    "tensors of 10^9 x 10^9": _shapes([10**9, 10**9]),
    "tensors of -1": _shapes([-1, -7]),
    "tensors of 0": _shapes([0]),
    "tensors of 40,000 x 40,000": _shapes([40_000, 40_000]),
    "tensors without a shape": _shapes([]),
    "weights of 2^31 values": _weights_shape([2**30, 2, 1, 1]),
    "weights of 3 values": _weights_shape([3]),
    "no subgraphs": _edit(lambda model: setattr(model, "subgraphs", [])),
    "no buffers": _edit(lambda model: setattr(model, "buffers", [])),
    "no operator codes": _edit(lambda model: setattr(model, "operatorCodes", [])),
    "no tensors": _graph(lambda graph: setattr(graph, "tensors", [])),
    "an operator of no code": _graph(lambda g: setattr(g.operators[0], "opcodeIndex", 10**6)),
    "an operator of tensors that are not there": _graph(
        lambda g: setattr(g.operators[0], "inputs", np.array([10**6, 2, 3], np.int32))
    ),
    "an operator of tensor -7": _graph(
        lambda g: setattr(g.operators[0], "inputs", np.array([-7, -7, -7], np.int32))
    ),
    "an operator of tensor -1": _graph(
        lambda g: setattr(g.operators[0], "inputs", np.array([-1, -1, -1], np.int32))
    ),
    "operators of one tensor": _graph(_first_input_alone),
    "operators of ten tensors": _graph(
        lambda g: each(g.operators, "inputs", np.zeros(10, np.int32))
    ),
    "operators of ten results": _graph(
        lambda g: each(g.operators, "outputs", np.ones(10, np.int32))
    ),
    "the first operator without inputs": _graph(
        lambda g: setattr(g.operators[0], "inputs", np.array([], np.int32))
    ),
    "the last operator without outputs": _graph(
        lambda g: setattr(g.operators[-1], "outputs", np.array([], np.int32))
    ),
    "an operator without inputs": _graph(
        lambda g: each(g.operators, "inputs", np.array([], np.int32))
    ),
    "an operator without outputs": _graph(
        lambda g: each(g.operators, "outputs", np.array([], np.int32))
    ),
    "an operator that writes its weights": _graph(
        lambda g: setattr(g.operators[0], "outputs", g.operators[0].inputs[:1])
    ),
    "outputs that are not there": _graph(
        lambda g: setattr(g, "outputs", np.array([10**6], np.int32))
    ),
    "a tensor of no buffer": _graph(lambda g: each(g.tensors, "buffer", 10**6)),
    "a tensor of no known type": _graph(lambda g: each(g.tensors, "type", 99)),
    "texts for numbers": _graph(lambda g: each(g.tensors, "type", 5)),
    "a stride of 0": _convolutions(strideH=0, strideW=0),
    "a stride of -1": _convolutions(strideH=-1, strideW=-1),
    "dilations of 0": _convolutions(dilationHFactor=0, dilationWFactor=0),
    "dilations of 2^30": _convolutions(dilationHFactor=2**30, dilationWFactor=2**30),
    "no known padding": _convolutions(padding=77),
    "a graph that calls itself": _edit(_while_itself),
    "an operation of somebody's own": _custom(b"Evil"),
    "an operation of TensorFlow": _custom(b"FlexWriteFile"),
    "weights that are not numbers": _edit(_nan),
    "weights beyond the end": _edit(_external),
    "weights that are sparse": _edit(_sparse),
    "weights that are quantized": _edit(_quantized),
    "a signature of no tensor": _signature(lambda s: each(s.outputs, "tensorIndex", 10**6)),
    "a signature of no graph": _signature(lambda s: setattr(s, "subgraphIndex", 10**6)),
    "a signature without inputs": _signature(lambda s: setattr(s, "inputs", [])),
    "no signature": _edit(lambda model: setattr(model, "signatureDefs", [])),
    "metadata of no buffer": _edit(lambda model: each(model.metadata, "buffer", 10**6)),
}
