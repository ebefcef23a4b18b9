"""int8 for ONNX Runtime, by its own static quantizer.

NNCF's int8 ONNX files run slower there than float ones, because few of their convolutions fuse.

If a convolution stays float between quantized ones, ONNX Runtime (WeightBiasQuantization, since
1.21) still rounds its weights when it opens the file, all by one scale, which is worse than int8.
It does not if the convolution's input is dequantized by a scale for each channel, so these inputs
get one, with the same value for all channels.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exporting.onnx import embed
from ..model_templates.contract import Contract
from ..quiet import keep_to_itself, quiet
from .graph import behind, beside

_CONVOLUTION = "Conv"
# Operations that have int8 kernels in ONNX Runtime, or pass int8 through.
_QUANTIZED = (_CONVOLUTION, "Add", "AveragePool", "Concat", "Gemm", "MaxPool", "Mul", "Resize")

PACKAGE = "onnxruntime"
"""The package that quantizes."""

MEASURES = True
"""Whether it measures ranges on photos."""


def layers(path: Path) -> list[str]:
    """Names of the layers that can be kept float, in order."""
    import onnx

    return [node.name for node in onnx.load(path).graph.node if node.op_type == _CONVOLUTION]


def quantize(
    path: Path,
    target: Path,
    contract: Contract,
    batches: Sequence[NDArray[np.float32]],
    keep_float: Collection[str] = (),
) -> None:
    """Write an int8 file: QDQ, weights by channel, unsigned 8-bit activations.

    Args:
        path: The float file.
        target: The file to write.
        contract: The new file's contract.
        batches: Inputs to measure ranges on, float32 (1, 3, H, W) each.
        keep_float: Names from `layers` that stay float.
    """
    keep_to_itself()
    import onnx
    from onnxruntime.quantization import (  # type: ignore[import-untyped]
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import (  # type: ignore[import-untyped]
        quant_pre_process,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self._feeds = iter([{name: batch} for batch in batches])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._feeds, None)

    with tempfile.TemporaryDirectory() as scratch, quiet():  # it advises steps already done
        prepared = Path(scratch, "prepared.onnx")
        # ONNX's own inference of shapes is enough; the other one fails at NonMaxSuppression.
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        quantize_static(
            str(prepared),
            str(target),
            Reader(graph.input[0].name),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(_QUANTIZED),
            nodes_to_exclude=_float(graph, keep_float),
        )
        onnx.save(_with_own_scales(onnx.load(target), keep_float), target)
    embed(target, contract)


def _float(graph: Any, keep_float: Collection[str]) -> list[str]:
    """Nodes that stay float; boxes and scores too must not share a range with anything."""
    reading: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            reading.setdefault(name, []).append(node.name)
    convolutions = {node.name: node.op_type == _CONVOLUTION for node in graph.node}
    readers = {
        node.name: [reader for name in node.output for reader in reading.get(name, [])]
        for node in graph.node
    }
    decode = behind(convolutions, readers)
    return [*keep_float, *decode, *beside(convolutions, readers, keep_float)]


def _with_own_scales(model: Any, keep_float: Collection[str]) -> Any:
    """Dequantize the input of each float convolution by a scale for each channel."""
    import onnx

    graph = model.graph
    values = {one.name: one for one in graph.initializer}
    nodes = []
    makers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        before = makers.get(node.input[0]) if node.input else None
        if node.name in keep_float and before and before.op_type == "DequantizeLinear":
            groups = next((one.i for one in node.attribute if one.name == "group"), 1)
            channels = values[node.input[1]].dims[1] * groups
            names = [f"{node.name}/{part}" for part in ("scale", "zero_point", "input")]
            for name, given in zip(names, before.input[1:], strict=False):
                value = np.full(channels, onnx.numpy_helper.to_array(values[given]))
                graph.initializer.append(onnx.numpy_helper.from_array(value, name))
            inputs = [before.input[0], *names[: len(before.input) - 1]]
            nodes.append(
                onnx.helper.make_node(
                    "DequantizeLinear", inputs, names[-1:], name=f"{node.name}/dequantized", axis=1
                )
            )
            node.input[0] = names[-1]
        nodes.append(node)
    read = {name for node in nodes for name in node.input}
    del graph.node[:]
    graph.node.extend(
        one for one in nodes if one.op_type != "DequantizeLinear" or read & set(one.output)
    )
    return model
