"""LiteRT: `.tflite` for one image, NHWC, with contract and seal in the flatbuffer's metadata."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from ..errors import MissingPackageError
from ..files import atomic_write, path_in_utf8
from ..model_templates.contract import CONTRACT_KEY, Contract
from ..quiet import quiet
from ..runtimes.litert import SIGNATURE, import_schema
from ..runtimes.seal import BLANK_SEAL, SEAL_KEY, seal
from .formats import Order
from .onnx import LARGE

if TYPE_CHECKING:
    from ..models.network import Network

_IDENTIFIER = b"TFL3"


def convert(order: Order) -> list[Path]:
    """Write `<stem>.tflite`: float32 input `image` (1, H, W, 3), 0-255, BGR.

    Arithmetic is FP32 for any precision of the stored weights. NMS cannot be inside.

    Raises:
        MissingPackageError: litert-torch or ai-edge-litert is not installed.
    """
    contract = order.contract.channels_last(batch=1)
    path = order.folder / f"{order.stem}.tflite"
    size = contract.input
    model = _unpack(_flatbuffer(order.network, size.height, size.width, path))
    _name(model, contract)
    if order.precision == "fp16":
        _store_as_fp16(model)
    _write(model, contract, path)
    return [path]


def embed(path: Path, contract: Contract) -> None:
    """Change the contract of a file that `convert` wrote."""
    _write(_unpack(path.read_bytes()), contract, path)


# By network and input size, so that a slow conversion is done once for all precisions.
_converted: WeakKeyDictionary[Network, dict[tuple[int, int], bytes]] = WeakKeyDictionary()


def _flatbuffer(network: Network, height: int, width: int, path: Path) -> bytes:
    """The converter's result for the network, written to and read from the file `path`."""
    known = _converted.setdefault(network, {})
    if (height, width) in known:
        return known[height, width]
    import torch

    from ..models.network import with_scale_folded

    # The converter prints each of its steps.
    with quiet():
        try:
            import litert_torch  # type: ignore[import-untyped]
        except ImportError as error:
            raise MissingPackageError("litert_torch") from error
        nhwc = litert_torch.to_channel_last_io(with_scale_folded(network), args=[0]).eval()
        edge = litert_torch.convert(nhwc, (torch.zeros(1, height, width, 3),))
        with path_in_utf8(path) as plain:
            edge.export(str(plain))
    known[height, width] = path.read_bytes()
    return known[height, width]


def _unpack(content: bytes) -> Any:
    model = import_schema().ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        # Some tools put constants behind the flatbuffer, where packing would lose them.
        if buffer.offset > 1:
            start = buffer.offset
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, start)
            buffer.offset = buffer.size = 0
    return model


def _name(model: Any, contract: Contract) -> None:
    """Give inputs and outputs the contract's names, as the converter only numbers them."""
    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    signature.signatureKey = SIGNATURE.encode()
    names = [output.name for output in contract.outputs]
    (image,) = signature.inputs
    for entry, name in [(image, contract.input.name), *zip(signature.outputs, names, strict=True)]:
        entry.name = name.encode()
        graph.tensors[entry.tensorIndex].name = name.encode()


def _store_as_fp16(model: Any) -> None:
    """Store the weights of convolutions and large dense layers as FP16.

    An operation widens them, which XNNPACK folds away. They are nearly all of a file. Biases and
    coordinates stay exact.
    """
    schema = import_schema()
    (graph,) = model.subgraphs
    kinds = schema.BuiltinOperator
    codes = [code.builtinCode for code in model.operatorCodes]
    least = {kinds.CONV_2D: 1, kinds.DEPTHWISE_CONV_2D: 1, kinds.FULLY_CONNECTED: LARGE}
    layers = [op for op in graph.operators if codes[op.opcodeIndex] in least]
    kernels = sorted(
        {
            op.inputs[1]
            for op in layers
            if math.prod(graph.tensors[op.inputs[1]].shape) >= least[codes[op.opcodeIndex]]
        }
    )
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = kinds.DEQUANTIZE
    code.version = 3
    model.operatorCodes.append(code)
    casts = []
    for index in kernels:
        tensor = graph.tensors[index]
        buffer = model.buffers[tensor.buffer]
        if tensor.type != schema.TensorType.FLOAT32 or buffer.data is None:
            continue
        limit = float(np.finfo(np.float16).max)
        values = np.frombuffer(bytes(buffer.data), "<f4").clip(-limit, limit)
        half, stored = schema.TensorT(), schema.BufferT()
        stored.data = np.frombuffer(values.astype("<f2").tobytes(), np.uint8)
        half.shape, half.type, half.name = tensor.shape, schema.TensorType.FLOAT16, tensor.name
        half.buffer = len(model.buffers)
        model.buffers.append(stored)
        buffer.data = None
        tensor.buffer = 0
        cast = schema.OperatorT()
        cast.opcodeIndex = len(model.operatorCodes) - 1
        cast.inputs, cast.outputs = [len(graph.tensors)], [index]
        graph.tensors.append(half)
        casts.append(cast)
    graph.operators = [*casts, *graph.operators]


def _write(model: Any, contract: Contract, path: Path) -> None:
    import flatbuffers  # type: ignore[import-untyped]

    schema = import_schema()
    entries = {CONTRACT_KEY: contract.to_json(), SEAL_KEY: BLANK_SEAL}
    # The converter's own entries stay: they name the runtimes that can read the file.
    metadata = {entry.name.decode(): entry for entry in model.metadata or []}
    for name, text in entries.items():
        if name not in metadata:
            entry = schema.MetadataT()
            entry.name, entry.buffer = name.encode(), len(model.buffers)
            model.buffers.append(schema.BufferT())
            metadata[name] = entry
        model.buffers[metadata[name].buffer].data = np.frombuffer(text.encode(), np.uint8)
    model.metadata = list(metadata.values())
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    with atomic_write(path) as handle:
        handle.write(bytes(builder.Output()))
    seal(path)
