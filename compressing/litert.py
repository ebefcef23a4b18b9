"""int8 for LiteRT, by AI Edge Quantizer's static recipe; dynamic ranges are slower than float."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingPackageError
from ..exporting.litert import embed
from ..model_templates.contract import Contract
from ..quiet import quiet
from ..runtimes.litert import SIGNATURE, import_schema
from ..tasks.load import load
from .graph import behind, beside, last

_FLOAT = "no_quantize"

PACKAGE = "ai-edge-quantizer"
"""The package that quantizes."""

MEASURES = True
"""Whether it measures ranges on photos."""


def layers(path: Path) -> list[str]:
    """Names of the layers that can be kept float, in order."""
    convolutions, readers = _graph(path)
    stays = set(_float(convolutions, readers, load(path).contract))
    return [name for name, scope in _named(convolutions).items() if scope not in stays]


def quantize(
    path: Path,
    target: Path,
    contract: Contract,
    batches: Sequence[NDArray[np.float32]],
    keep_float: Collection[str] = (),
) -> None:
    """Write an int8 file: weights by channel, 8-bit activations.

    If outputs are coordinates the last convolutions stay float, because LiteRT's int8 kernels
    round their results to 8 bits, unlike those of other runtimes.

    Args:
        path: The float file.
        target: The file to write.
        contract: The new file's contract.
        batches: Inputs to measure ranges on, float32 (1, 3, H, W) each.
        keep_float: Names from `layers` that stay float.

    Raises:
        MissingPackageError: ai-edge-quantizer is not installed.
    """
    convolutions, readers = _graph(path)
    named = _named(convolutions)
    stays = [*_float(convolutions, readers, contract), *(named[name] for name in keep_float)]
    stays += beside(convolutions, readers, stays)
    if convolutions.keys() <= set(stays):
        shutil.copyfile(path, target)  # the quantizer raises if it has nothing to do
    else:
        _quantize(path, target, contract, batches, stays)
    embed(target, contract)


def _quantize(
    path: Path,
    target: Path,
    contract: Contract,
    batches: Sequence[NDArray[np.float32]],
    stays: Collection[str],
) -> None:
    with quiet():
        try:
            from ai_edge_quantizer import qtyping, quantizer, recipe  # type: ignore[import-untyped]
        except ImportError as error:
            raise MissingPackageError("ai_edge_quantizer") from error
        work = quantizer.Quantizer(str(path), recipe.static_wi8_ai8())
        for scope in stays:
            # Later rules override earlier ones.
            work.update_quantization_recipe(f"^{re.escape(scope)}$", "*", algorithm_key=_FLOAT)
        # Inputs and outputs stay float, so that the file is used like the float one.
        for edge in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
            work.update_quantization_recipe(".*", edge, algorithm_key=_FLOAT)
        inputs = [
            {contract.input.name: np.ascontiguousarray(batch.transpose(0, 2, 3, 1))}
            for batch in batches
        ]
        result = work.quantize(work.calibrate({SIGNATURE: inputs}))
        result.export_model(str(target), overwrite=True)


def _float(
    convolutions: dict[str, bool], readers: dict[str, list[str]], contract: Contract
) -> list[str]:
    """The operations that are never quantized."""
    pixels = any("pixel" in output.unit for output in contract.outputs)
    outputs = last(convolutions, readers) if pixels else []
    return [*behind(convolutions, readers), *outputs]


def _named(convolutions: dict[str, bool]) -> dict[str, str]:
    """The convolutions by a number and a short name, as their own names are long module paths.

    The name is the last part of one like "…/torch.nn.modules.conv.Conv2d_classes;2;".
    """
    scopes = [scope for scope, is_convolution in convolutions.items() if is_convolution]
    return {
        f"{number} {re.sub(';[0-9]*;?$', '', scope).rpartition('.')[2]}": scope
        for number, scope in enumerate(scopes)
    }


def _graph(path: Path) -> tuple[dict[str, bool], dict[str, list[str]]]:
    """By name of an operation's output: whether it is a convolution, and its readers."""
    schema = import_schema()
    model: Any = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    (graph,) = model.subgraphs
    kinds = schema.BuiltinOperator
    codes = [code.builtinCode for code in model.operatorCodes]
    wanted = (kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D)
    scopes = [
        "".join(f"{graph.tensors[index].name.decode()};" for index in op.outputs)
        for op in graph.operators
    ]
    convolutions = {
        scope: codes[op.opcodeIndex] in wanted
        for scope, op in zip(scopes, graph.operators, strict=True)
    }
    readers: dict[str, list[str]] = {scope: [] for scope in scopes}
    makers = {
        index: scope
        for scope, op in zip(scopes, graph.operators, strict=True)
        for index in op.outputs
    }
    for scope, op in zip(scopes, graph.operators, strict=True):
        for index in op.inputs:
            if index in makers:
                readers[makers[index]].append(scope)
    return convolutions, readers
