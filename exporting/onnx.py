"""ONNX: one file with the contract in `metadata_props`."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..errors import MissingPackageError
from ..files import atomic_write
from ..model_templates.contract import CONTRACT_KEY, Contract, InputSpec
from ..runtimes.seal import BLANK_SEAL, SEAL_KEY, seal
from .formats import Order
from .nms import append_nms

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.network import Network

OPSET = 18
LARGE = 1 << 16
"""Values of a dense layer that is stored as FP16 where convolutions are."""

_BATCH = "batch"


def convert(order: Order) -> list[Path]:
    """Write `<stem>.onnx`, and `<stem>_nms.onnx` for batch 1 with NMS inside.

    Arithmetic is FP32 for any precision of the stored weights.

    Raises:
        MissingPackageError: onnx or onnxscript is not installed.
    """
    contract = order.contract
    model = folded_trace(order.network, contract)
    if order.precision == "fp16":
        _store_as_fp16(model)
    written = [_write(model, contract, order.folder / f"{order.stem}.onnx")]
    if order.with_nms:
        model, contract = append_nms(model, contract)
        written.append(_write(model, contract, order.folder / f"{order.stem}_nms.onnx"))
    return written


def embed(path: Path, contract: Contract) -> None:
    """Change the contract of a file that `convert` wrote."""
    _write(_onnx().load(path), contract, path)


def _write(model: Any, contract: Contract, path: Path) -> Path:
    onnx = _onnx()
    entries = {CONTRACT_KEY: contract.to_json(), SEAL_KEY: BLANK_SEAL}
    onnx.helper.set_model_props(model, entries)
    onnx.checker.check_model(model, full_check=True)
    with atomic_write(path) as handle:
        handle.write(model.SerializeToString(deterministic=True))
    seal(path)
    return path


# By network and input, so that a slow trace is made once for all formats and precisions.
_traced: WeakKeyDictionary[Network, dict[InputSpec, bytes]] = WeakKeyDictionary()


def folded_trace(network: Network, contract: Contract) -> Any:
    """A new copy of the `trace` of the network with its scale folded."""
    from ..models.network import with_scale_folded

    known = _traced.setdefault(network, {})
    if contract.input not in known:
        traced = trace(with_scale_folded(network), contract)
        known[contract.input] = traced.SerializeToString()
    return _onnx().load_from_string(known[contract.input])


def trace(network: Network, contract: Contract) -> Any:
    """The network as an `onnx.ModelProto`, constants folded, with the contract's names and shapes.

    If the contract leaves the input size free, the graph computes what depends on it, though it
    declares the contract's size: some devices take no other graphs, and runtimes make constants of
    it as they open the file.

    Raises:
        MissingPackageError: onnx or onnxscript is not installed.
    """
    onnx = _onnx()
    import torch
    from torch.jit._trace import TracerWarning

    try:
        from onnxscript import optimizer
    except ImportError as error:
        raise MissingPackageError("onnxscript") from error

    from ..models.map_size import free_map_sizes

    is_free = contract.input.multiple_of is not None
    names = [output.name for output in contract.outputs]
    axes: dict[str, dict[int, str]] = {name: {0: _BATCH} for name in names}
    sides = {2: "height", 3: "width"} if is_free else {}
    axes[contract.input.name] = {0: _BATCH, **sides}
    buffer = io.BytesIO()
    with free_map_sizes() if is_free else nullcontext(), warnings.catch_warnings():
        # The tracer warns that sizes become constants, which is right for a fixed input size; and
        # that it is deprecated, but its replacement takes 5 to 38 s instead of 2.
        warnings.simplefilter("ignore", TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.eval(),
            (example_for(contract),),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=True,
            input_names=[contract.input.name],
            output_names=names,
            dynamic_axes=axes,
        )
    model = onnx.load_from_string(buffer.getvalue())
    if is_free:
        for value, output in zip(model.graph.output, contract.outputs, strict=True):
            _declare(value, [None] * len(output.shape))
    else:
        _declare_all(model, contract)
    # Without shapes, the optimizer keeps an `If` for every squeeze.
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    model = optimizer.optimize(model, num_iterations=1)
    if is_free:
        # Not before, or the optimizer would make constants of the size.
        _declare_all(model, contract)
        del model.graph.value_info[:]
    return model


def _declare_all(model: Any, contract: Contract) -> None:
    """State the contract's shapes: the tracer loses those of outputs if the batch is free."""
    _declare(model.graph.input[0], contract.input.shape)
    for value, output in zip(model.graph.output, contract.outputs, strict=True):
        _declare(value, output.shape)


def _declare(value: Any, shape: Sequence[int | None]) -> None:
    """State the shape of an input or output; -1 is the batch, None is anything."""
    onnx = _onnx()
    sizes = [_BATCH if size == -1 else size for size in shape]
    value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, onnx.TensorProto.FLOAT, sizes))


def example_for(contract: Contract) -> Tensor:
    """An example input of zeros, float32 (1, 3, H, W)."""
    import torch

    return torch.zeros(1, *contract.input.shape[1:])


def _store_as_fp16(model: Any) -> None:
    """Store the weights of convolutions and large dense layers as FP16.

    A Cast widens them, which runtimes fold away. They are nearly all of a file. Biases and
    coordinates stay exact.
    """
    import math

    import numpy as np
    import onnx

    kernels = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    large = {one.name for one in model.graph.initializer if math.prod(one.dims) >= LARGE}
    dense = (node for node in model.graph.node if node.op_type in ("Gemm", "MatMul"))
    kernels |= large & {node.input[1] for node in dense}
    limit = np.finfo(np.float16).max
    casts = []
    for tensor in model.graph.initializer:
        name = tensor.name
        if name not in kernels:
            continue
        half = onnx.numpy_helper.to_array(tensor).clip(-limit, limit).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.fp16"))
        casts.append(
            onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise MissingPackageError("onnx") from error
    return onnx
