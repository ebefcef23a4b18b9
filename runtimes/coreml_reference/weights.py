"""Stored tensors of Core ML files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelFileError

FLOAT16, FLOAT32, INT32, BOOL, STRING = 10, 11, 23, 1, 2
"""`DataType` of MIL.proto."""

_NUMPY: dict[int, Any] = {FLOAT16: np.float16, FLOAT32: np.float32, INT32: np.int32}
_BLOB_TYPES: dict[int, Any] = {1: np.float16, 2: np.float32}
_BLOB_SENTINEL = 0xDEADBEEF
_BLOB_FOLDER = "@model_path/"


def layer_weights(params: Any, *, where: str) -> NDArray[np.float32]:
    """`WeightParams` of a NeuralNetwork, flat, as float32.

    Raises:
        ModelFileError: They are quantized.
    """
    fields = {field.name for field, _ in params.ListFields()}
    if fields <= {"floatValue"}:
        return np.array(params.floatValue, np.float32)
    if fields <= {"float16Value"}:
        return np.frombuffer(params.float16Value, "<f2").astype(np.float32)
    raise ModelFileError(
        f"{where}: weights stored as {', '.join(sorted(fields))} are not known to the reference "
        "interpreter"
    )


def program_value(value: Any, folder: Path | None, *, where: str) -> Any:
    """A `Value` of an ML Program: a numpy array, or a str, bool, int or float where it is scalar.

    FP16 arrays stay FP16.

    Args:
        value: The protobuf.
        folder: Of `weights/weight.bin`; None where there is none.
        where: For messages.
    """
    tensor_type = value.type.tensorType
    kind = value.WhichOneof("value")
    if value.type.WhichOneof("type") != "tensorType" or kind not in (
        "immediateValue",
        "blobFileValue",
    ):
        raise ModelFileError(f"{where}: a value that is no tensor is not known")
    shape = [int(dimension.constant.size) for dimension in tensor_type.dimensions]
    if kind == "blobFileValue":
        array = _blob(value.blobFileValue, folder, where=where)
    else:
        array = _immediate(value.immediateValue.tensor, tensor_type.dataType, where=where)
    if isinstance(array, str):
        return array
    array = array.reshape(shape)
    return array if shape else array.item()


def _immediate(tensor: Any, data_type: int, *, where: str) -> Any:
    kind = tensor.WhichOneof("value")
    if kind == "strings" and data_type == STRING and len(tensor.strings.values) == 1:
        return str(tensor.strings.values[0])
    if kind == "bools" and data_type == BOOL:
        return np.array(tensor.bools.values, bool)
    if kind == "ints" and data_type == INT32:
        return np.array(tensor.ints.values, np.int32)
    if kind == "floats" and data_type == FLOAT32:
        return np.array(tensor.floats.values, np.float32)
    if kind == "bytes" and data_type in _NUMPY:
        return np.frombuffer(tensor.bytes.values, _NUMPY[data_type])
    raise ModelFileError(f"{where}: a constant of type {data_type} as {kind} is not known")


def _blob(reference: Any, folder: Path | None, *, where: str) -> NDArray[Any]:
    """A tensor of weight.bin: 64 bytes of metadata at an offset, and the data where they say."""
    name = reference.fileName
    if folder is None or not name.startswith(_BLOB_FOLDER):
        raise ModelFileError(f"{where}: its weights {name!r} are not there")
    path = folder / name.removeprefix(_BLOB_FOLDER)
    try:
        with path.open("rb") as file:
            file.seek(reference.offset)
            sentinel, kind, size, start = struct.unpack("<IIQQ", file.read(24))
            file.seek(start)
            data = file.read(size)
    except (OSError, struct.error) as error:
        raise ModelFileError(f"{where}: {path} cannot be read: {error}") from error
    if sentinel != _BLOB_SENTINEL or kind not in _BLOB_TYPES or len(data) != size:
        raise ModelFileError(f"{where}: {path.name} holds no known tensor at {reference.offset}")
    return np.frombuffer(data, _BLOB_TYPES[kind])
