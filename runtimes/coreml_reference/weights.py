"""Read stored tensors of Core ML files."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelFileError
from ...models.file_checks import check_file, is_inside, reason

FLOAT16, FLOAT32, INT8, INT32, UINT8, UINT32, BOOL, STRING = 10, 11, 21, 23, 31, 33, 1, 2
"""`DataType` of MIL.proto."""

_NUMPY: dict[int, Any] = {
    FLOAT16: np.float16,
    FLOAT32: np.float32,
    INT8: np.int8,
    INT32: np.int32,
    UINT8: np.uint8,
    UINT32: np.uint32,
}
_BLOB_TYPES: dict[int, Any] = {1: np.float16, 2: np.float32, 3: np.uint8, 4: np.int8}
_BLOB_HEADER = struct.Struct("<IIQQ")
_BLOB_SENTINEL = 0xDEADBEEF
_BLOB_FOLDER = "@model_path/"


@contextmanager
def named(where: str) -> Iterator[None]:
    """Say which layer or operation something in a block failed at.

    Raises:
        ModelFileError: Something failed: a damaged file may refer to what is not there, and have
            sizes that do not go together.
    """
    try:
        yield
    except ModelFileError:
        raise
    except Exception as error:
        raise ModelFileError(f"{where}: {reason(error)}") from error


def layer_weights(params: Any, shape: Sequence[int], *, where: str) -> NDArray[np.float32]:
    """`WeightParams` of a NeuralNetwork as float32.

    Args:
        params: The protobuf.
        shape: Shape of the result; output channels, if any, come first.
        where: Name of the layer in error messages.

    Raises:
        ModelFileError: The weights are stored in an unknown way, or their number is wrong.
    """
    fields = {field.name for field, _ in params.ListFields()}
    if fields <= {"floatValue"}:
        found = np.array(params.floatValue, np.float32)
    elif fields <= {"float16Value"}:
        found = np.frombuffer(params.float16Value, "<f2").astype(np.float32)
    elif fields == {"rawValue", "quantization"}:
        with named(f"{where}: quantized weights"):
            found = _dequantized(params, math.prod(shape))
    else:
        raise ModelFileError(
            f"{where}: weights stored as {', '.join(sorted(fields))} are not known to the "
            "reference interpreter"
        )
    if found.size != math.prod(shape):
        raise ModelFileError(f"{where}: {found.size} weights: expected {math.prod(shape)}")
    return found.reshape(shape)


def _dequantized(params: Any, count: int) -> NDArray[np.float32]:
    """Weights from packed levels, highest bit first (`QuantizationParams`, NeuralNetwork.proto)."""
    quantization = params.quantization
    bits = int(quantization.numberOfBits)
    raw = np.frombuffer(params.rawValue, np.uint8)
    levels = unpacked(raw, bits, count, bitorder="big")
    if quantization.WhichOneof("QuantizationType") == "lookupTableQuantization":
        return np.array(quantization.lookupTableQuantization.floatValue, np.float32)[levels]
    linear = quantization.linearQuantization
    # One scale and bias for each output channel, or one for all.
    scale, bias = (np.array(one, np.float32)[:, None] for one in (linear.scale, linear.bias))
    by_channel = levels.reshape(len(scale), -1).astype(np.float32)
    return (by_channel * scale + bias).reshape(-1)


def unpacked(
    packed: NDArray[np.uint8], bits: int, count: int, *, bitorder: Literal["big", "little"]
) -> NDArray[np.intp]:
    """Unpack numbers of 1 to 8 bits that are packed without gaps.

    Args:
        packed: The bytes.
        bits: Bits per number, 1 to 8.
        count: Number of numbers; the rest is padding.
        bitorder: "big" if the highest bit comes first, "little" if the lowest does.

    Raises:
        ValueError: There are too few bytes, or too many.
    """
    if len(packed) != math.ceil(count * bits / 8):
        raise ValueError(f"{len(packed)} bytes for {count} numbers of {bits} bits")
    each = np.unpackbits(packed, count=count * bits, bitorder=bitorder).reshape(count, bits)
    weights = 1 << np.arange(bits)
    return each @ (weights[::-1] if bitorder == "big" else weights)


def program_value(value: Any, folder: Path | None, *, where: str) -> Any:
    """A `Value` of an ML Program as a numpy array, or as a str, bool, int or float if scalar.

    FP16 arrays stay FP16.

    Args:
        value: The protobuf.
        folder: Folder with `weights/weight.bin`, which weights must not lead out of; None if there
            is none.
        where: Name of the operation in error messages.

    Raises:
        ModelFileError: The value is stored in an unknown way, out of the package, or is not all
            there.
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
    if array.size != math.prod(shape):
        raise ModelFileError(f"{where}: {array.size} values: expected {math.prod(shape)}")
    return array.reshape(shape) if shape else array.item()


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
    """A tensor of weight.bin: 64 bytes of metadata at an offset, which say where the data is."""
    name = reference.fileName
    if folder is None or not name.startswith(_BLOB_FOLDER):
        raise ModelFileError(f"{where}: its weights {name!r} are not there")
    path = folder / name.removeprefix(_BLOB_FOLDER)
    if not is_inside(path, folder):
        raise ModelFileError(f"{where}: its weights {name!r} lead out of the package")
    size = check_file(path, name=f"{where}: {path.name}")
    try:
        with path.open("rb") as file:
            file.seek(_within(reference.offset, size, _BLOB_HEADER.size))
            sentinel, kind, length, start = _BLOB_HEADER.unpack(file.read(_BLOB_HEADER.size))
            if sentinel != _BLOB_SENTINEL or kind not in _BLOB_TYPES:
                raise ValueError(f"no known tensor at {reference.offset}")
            file.seek(_within(start, size, length))
            return np.frombuffer(file.read(length), _BLOB_TYPES[kind])
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{where}: {path.name} cannot be read: {error}") from error


def _within(start: int, size: int, count: int) -> int:
    """A position in a file of `size` bytes from which `count` can be read."""
    if start + count > size:
        raise ValueError(f"{count} bytes at {start} are beyond its {size}")
    return start
