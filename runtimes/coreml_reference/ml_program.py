"""Run ML Programs, operation by operation (MIL.proto, the MIL operation documents)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...errors import ModelFileError
from .weights import FLOAT16, FLOAT32, INT32, named, program_value, unpacked

_DTYPES = {"fp16": torch.float16, "fp32": torch.float32, "int32": torch.int32}


def build_program(
    program: Any, folder: Path | None, *, where: str
) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """The `main` function of an ML Program, from inputs to outputs by name.

    A classifier's dictionary of probabilities becomes an array in the order of the labels, and
    its most probable label is left out.

    Raises:
        ModelFileError: An operation or argument is unknown; the message names it.
    """
    main = program.functions["main"]
    if set(program.functions) != {"main"} or main.opset not in main.block_specializations:
        raise ModelFileError(f"{where}: functions {sorted(program.functions)}: expected only main")
    block = main.block_specializations[main.opset]
    constants: dict[str, Any] = {}
    steps: list[_Step] = []
    for operation in block.operations:
        first = operation.outputs[0].name if operation.outputs else ""
        name = f"{where}: operation {first!r} of type {operation.type}"
        with named(name):
            step = _step(operation, constants, folder, where=name)
        if step is not None:
            steps.append(step)

    def run_all(values: dict[str, Tensor]) -> dict[str, Tensor]:
        known = {**constants, **values}
        for run, arguments, names, types, name in steps:
            with named(name):
                given = {key: _resolve(parts, known) for key, parts in arguments.items()}
                try:
                    found = run(given)
                except _NotKnown as error:
                    raise ModelFileError(f"{name}: {error} is not known") from error
                for output, tensor, data_type in zip(names, found, types, strict=True):
                    known[output] = _typed(tensor, data_type)
        return {name: known[name] for name in block.outputs if name in known}

    return run_all


_Step = tuple[
    Callable[[dict[str, Any]], list[Tensor]], dict[str, list[Any]], list[str], list[int], str
]
"""Function, arguments by name, names and types of the results, and the name for messages."""


def _step(
    operation: Any, constants: dict[str, Any], folder: Path | None, *, where: str
) -> _Step | None:
    """An operation as a step; None, and one more of `constants`, if it is computed at once."""
    kind = operation.type
    names = [output.name for output in operation.outputs]
    types = [output.type.tensorType.dataType for output in operation.outputs]
    if kind == "const":
        value = program_value(operation.attributes["val"], folder, where=where)
        floats = isinstance(value, np.ndarray) and value.dtype.kind == "f"
        constants[names[0]] = _tensor(value) if floats else value
        return None
    if kind in COMPRESSED:
        # Their arguments are constants, so they are decompressed when the file is loaded.
        stored = {
            key: program_value(value, folder, where=where)
            for key, value in operation.attributes.items()
        }
        constants[names[0]] = _typed(_tensor(COMPRESSED[kind](stored)), types[0])
        return None
    if kind == "classify":
        # Its outputs are the most probable label, and a dictionary of all probabilities.
        (shares,) = operation.inputs["probabilities"].arguments
        return _hand_on, {"x": [_Name(shares.name)]}, names[1:], [FLOAT32], where
    if kind not in OPERATIONS:
        raise ModelFileError(f"{where} is not one that the reference interpreter knows")
    if operation.blocks:
        raise ModelFileError(f"{where}: blocks inside are not known")
    known, run = OPERATIONS[kind]
    unknown = set(operation.inputs) - known
    if unknown:
        raise ModelFileError(f"{where}: {', '.join(sorted(unknown))} is not known")
    arguments = {
        key: [_binding(one, folder, where=where) for one in argument.arguments]
        for key, argument in operation.inputs.items()
    }
    if not set(types) <= {FLOAT16, FLOAT32, INT32}:
        raise ModelFileError(f"{where}: results of type {types} are not known")
    return run, arguments, names, types, where


def _typed(tensor: Tensor, data_type: int) -> Tensor:
    return tensor.half().float() if data_type == FLOAT16 else tensor


class _NotKnown(Exception):
    pass


class _Name(str):
    """The name of a value, to tell it from a string constant."""


def _binding(binding: Any, folder: Path | None, *, where: str) -> Any:
    if binding.WhichOneof("binding") == "name":
        return _Name(binding.name)
    return program_value(binding.value, folder, where=where)


def _resolve(parts: list[Any], known: dict[str, Any]) -> Any:
    values = [known[part] if isinstance(part, _Name) else part for part in parts]
    return values[0] if len(values) == 1 else values


def _tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    array = np.asarray(value)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    return torch.from_numpy(array.copy()) if array.ndim else torch.tensor(array.item())


def _tensors(value: Any) -> list[Tensor]:
    return [_tensor(one) for one in (value if isinstance(value, list) else [value])]


def _ints(value: Any) -> list[int]:
    return [int(one) for one in np.asarray(value).reshape(-1)]


def _padding(given: dict[str, Any]) -> list[int]:
    """Padding for `functional.pad`: left, right, top, bottom."""
    kind = given.get("pad_type", "valid")
    if kind == "valid":
        return [0, 0, 0, 0]
    if kind != "custom":
        raise _NotKnown(f"pad_type {kind!r}")
    top, bottom, left, right = _ints(given["pad"])
    return [left, right, top, bottom]


def _hand_on(given: dict[str, Any]) -> list[Tensor]:
    return [_tensor(given["x"])]


def _linear(given: dict[str, Any]) -> list[Tensor]:
    bias = _tensor(given["bias"]) if "bias" in given else None
    return [functional.linear(_tensor(given["x"]), _tensor(given["weight"]), bias)]


def _conv(given: dict[str, Any]) -> list[Tensor]:
    x = functional.pad(_tensor(given["x"]), _padding(given))
    bias = _tensor(given["bias"]) if "bias" in given else None
    return [
        functional.conv2d(
            x,
            _tensor(given["weight"]),
            bias,
            _ints(given.get("strides", [1, 1])),
            0,
            _ints(given.get("dilations", [1, 1])),
            int(given.get("groups", 1)),
        )
    ]


def _batch_norm(given: dict[str, Any]) -> list[Tensor]:
    x, mean, variance, gamma, beta = (
        _tensor(given[key]) if key in given else None
        for key in ("x", "mean", "variance", "gamma", "beta")
    )
    assert x is not None  # required
    epsilon = float(given.get("epsilon", 1e-5))
    return [functional.batch_norm(x, mean, variance, gamma, beta, eps=epsilon)]


def _max_pool(given: dict[str, Any]) -> list[Tensor]:
    if given.get("ceil_mode", False):
        raise _NotKnown("ceil_mode")
    x = functional.pad(_tensor(given["x"]), _padding(given), value=-torch.inf)
    kernel = _ints(given["kernel_sizes"])
    return [functional.max_pool2d(x, kernel, _ints(given.get("strides", [1, 1])))]


def _slice_by_index(given: dict[str, Any]) -> list[Tensor]:
    x = _tensor(given["x"])
    begin, end = _ints(given["begin"]), _ints(given["end"])
    stride = _ints(given.get("stride", [1] * x.ndim))
    masks = {
        key: [bool(one) for one in np.asarray(given.get(key, [False] * x.ndim)).reshape(-1)]
        for key in ("begin_mask", "end_mask", "squeeze_mask")
    }
    if min(stride) < 1:
        raise _NotKnown(f"stride {stride}")
    index: list[slice | int] = []
    for axis in range(x.ndim):
        if masks["squeeze_mask"][axis]:
            index.append(begin[axis])
            continue
        first = None if masks["begin_mask"][axis] else begin[axis]
        last = None if masks["end_mask"][axis] else end[axis]
        index.append(slice(first, last, stride[axis]))
    return [x[tuple(index)]]


def _split(given: dict[str, Any]) -> list[Tensor]:
    x, axis = _tensor(given["x"]), int(given["axis"])
    if "split_sizes" in given:
        return list(torch.split(x, _ints(given["split_sizes"]), dim=axis))
    count = int(given["num_splits"])
    return list(torch.split(x, x.shape[axis] // count, dim=axis))


def _concat(given: dict[str, Any]) -> list[Tensor]:
    if given.get("interleave", False):
        raise _NotKnown("interleave")
    return [torch.cat(_tensors(given["values"]), dim=int(given["axis"]))]


def _factors(given: dict[str, Any]) -> tuple[int, int]:
    rows, columns = (given[f"scale_factor_{side}"] for side in ("height", "width"))
    if rows != int(rows) or columns != int(columns):
        raise _NotKnown(f"a factor of {rows}, {columns}")
    return int(rows), int(columns)


def _upsample_nearest(given: dict[str, Any]) -> list[Tensor]:
    rows, columns = _factors(given)
    x = _tensor(given["x"]).repeat_interleave(rows, -2)
    return [x.repeat_interleave(columns, -1)]


def _upsample_bilinear(given: dict[str, Any]) -> list[Tensor]:
    corners = bool(given.get("align_corners", True))
    if corners or not given.get("half_pixel_centers", not corners):
        raise _NotKnown("any but half-pixel centres")
    return [
        functional.interpolate(
            _tensor(given["x"]),
            scale_factor=_factors(given),
            mode="bilinear",
            align_corners=False,
        )
    ]


def _cast(given: dict[str, Any]) -> list[Tensor]:
    if given["dtype"] not in _DTYPES:
        raise _NotKnown(f"dtype {given['dtype']!r}")
    cast = _tensor(given["x"]).to(_DTYPES[given["dtype"]])
    return [cast.float() if cast.is_floating_point() else cast]


def _reduce_mean(given: dict[str, Any]) -> list[Tensor]:
    x = _tensor(given["x"])
    axes = _ints(given["axes"]) if "axes" in given else list(range(x.ndim))
    return [x.mean(axes, keepdim=bool(given.get("keep_dims", False)))]


def _reduce_argmax(given: dict[str, Any]) -> list[Tensor]:
    axis, keep = int(given.get("axis", -1)), bool(given.get("keep_dims", True))
    return [_tensor(given["x"]).argmax(axis, keep).int()]


def _affine_dequantize(stored: dict[str, Any]) -> NDArray[np.float32]:
    """Weights from 8-bit integers, with a scale and a zero point for each channel or for all."""
    data = np.asarray(stored["quantized_data"])
    shape = [1] * data.ndim
    shape[int(stored["axis"])] = -1
    scale, zero_point = (
        np.asarray(stored[key], np.float32).reshape(shape) for key in ("scale", "zero_point")
    )
    return (data.astype(np.float32) - zero_point) * scale


def _lut_to_dense(stored: dict[str, Any]) -> NDArray[Any]:
    """Weights from packed indices into a palette, lowest bit first."""
    palette, shape = np.asarray(stored["lut"]), _ints(stored["shape"])
    bits = len(palette).bit_length() - 1
    count = math.prod(shape)
    found: NDArray[Any] = palette[unpacked(stored["indices"], bits, count, bitorder="little")]
    return found.reshape(shape)


COMPRESSED: dict[str, Callable[[dict[str, Any]], NDArray[Any]]] = {
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_lut_to_dense": _lut_to_dense,
}
"""By operation type, the function that decompresses stored weights."""

Operation = tuple[set[str], Callable[[dict[str, Any]], list[Tensor]]]


def _unary(operation: Callable[[Tensor], Tensor]) -> Operation:
    return {"x"}, lambda given: [operation(_tensor(given["x"]))]


def _binary(operation: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    return {"x", "y"}, lambda given: [operation(_tensor(given["x"]), _tensor(given["y"]))]


_CONV = {"x", "weight", "bias", "strides", "pad_type", "pad", "dilations", "groups"}
_MAX_POOL = {"x", "kernel_sizes", "strides", "pad_type", "pad", "ceil_mode"}
_SLICE = {"x", "begin", "end", "stride", "begin_mask", "end_mask", "squeeze_mask"}
_UPSAMPLE = {"x", "scale_factor_height", "scale_factor_width"}

OPERATIONS: dict[str, Operation] = {
    "add": _binary(torch.add),
    "batch_norm": ({"x", "mean", "variance", "gamma", "beta", "epsilon"}, _batch_norm),
    "cast": ({"x", "dtype"}, _cast),
    "clip": (
        {"x", "alpha", "beta"},
        lambda given: [_tensor(given["x"]).clamp(float(given["alpha"]), float(given["beta"]))],
    ),
    "concat": ({"values", "axis", "interleave"}, _concat),
    "conv": (_CONV, _conv),
    "exp": _unary(torch.exp),
    "linear": ({"x", "weight", "bias"}, _linear),
    "max_pool": (_MAX_POOL, _max_pool),
    "minimum": _binary(torch.minimum),
    "mul": _binary(torch.mul),
    "real_div": _binary(torch.div),
    "reduce_argmax": ({"x", "axis", "keep_dims", "output_dtype"}, _reduce_argmax),
    "reduce_mean": ({"x", "axes", "keep_dims"}, _reduce_mean),
    "relu": _unary(torch.relu),
    "reshape": (
        {"x", "shape"},
        lambda given: [_tensor(given["x"]).reshape(_ints(given["shape"]))],
    ),
    "reverse": ({"x", "axes"}, lambda given: [_tensor(given["x"]).flip(_ints(given["axes"]))]),
    "round": _unary(torch.round),
    "sigmoid": _unary(torch.sigmoid),
    "slice_by_index": (_SLICE, _slice_by_index),
    "softmax": (
        {"x", "axis"},
        lambda given: [_tensor(given["x"]).softmax(int(given.get("axis", -1)))],
    ),
    "split": ({"x", "num_splits", "split_sizes", "axis"}, _split),
    "sqrt": _unary(torch.sqrt),
    "square": _unary(torch.square),
    "squeeze": (
        {"x", "axes"},
        lambda given: [_tensor(given["x"]).squeeze(tuple(_ints(given["axes"])))],
    ),
    "sub": _binary(torch.sub),
    "transpose": ({"x", "perm"}, lambda given: [_tensor(given["x"]).permute(_ints(given["perm"]))]),
    "upsample_bilinear": (_UPSAMPLE | {"align_corners", "half_pixel_centers"}, _upsample_bilinear),
    "upsample_nearest_neighbor": (_UPSAMPLE, _upsample_nearest),
}
"""By operation type, the supported arguments and the function that computes the results."""
