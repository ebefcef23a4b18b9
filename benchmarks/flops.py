"""Count the operations of a file's network from its graph."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..interrupts import signal_stack_kept

_WEIGHTS = (".safetensors", ".pth")
_GRAPHS = (".xml", ".onnx", ".tflite")
"""Suffixes of the graph files that OpenVINO reads."""


@signal_stack_kept()
def gflops_of(path: Path, *, height: int, width: int) -> float | None:
    """2 x MAC of the convolutions for one photo, in 1e9; None if the file cannot be counted.

    Args:
        path: A model file.
        height: Height of the input in pixels, used if the graph leaves it free.
        width: Width of the input in pixels, used if the graph leaves it free.
    """
    if path.suffix in _WEIGHTS:
        from ..models.count import count
        from ..models.weights import read_weights

        return count(read_weights(path).template.architecture, height=height, width=width).gflops
    if path.suffix not in _GRAPHS:
        return None
    try:
        import openvino  # type: ignore[import-untyped]
    except ImportError:
        return None
    try:
        model = openvino.Core().read_model(path)
        shape = model.input(0).partial_shape
        if shape.is_dynamic:
            planes = shape[1].is_static and shape[1].get_length() == 3
            model.reshape([1, 3, height, width] if planes else [1, height, width, 3])
    except RuntimeError:  # OpenVINO reads no LiteRT file with weights of 8 or 16 bits
        return None
    return 2e-9 * sum(_macs(op) for op in model.get_ordered_ops())


def _macs(op: Any) -> int:
    if op.get_type_name() not in ("Convolution", "GroupConvolution"):
        return 0
    # Shape of weights: output channels, inputs of each, kernel; groups, if any, come first.
    weights = list(op.input(1).get_shape())
    first = 1 if op.get_type_name() == "Convolution" else 2
    outputs = list(op.output(0).get_shape())[1:]
    return math.prod([*outputs, *weights[first:]])
