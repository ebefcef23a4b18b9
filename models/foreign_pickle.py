"""Arrays of numpy out of a pickle, as Detectron2's model zoo has them; nothing else is made of it.

A pickle names the functions that build its objects. Here every name stands for a small class of
ours, so neither numpy nor anything else is called with what a file says.
"""

from __future__ import annotations

import pickle
import pickletools
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from ..errors import ModelFileError
from .file_checks import check_file, damaged, most_unpacked

_DTYPE = re.compile(r"[<>|=]?([fiub]\d)")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_PAIR_BYTES = 100
"""Of a dictionary, about."""


def read_arrays(path: Path) -> dict[str, Any]:
    """Read a dictionary of arrays, perhaps one within another.

    Returns:
        The dictionaries, with arrays of numbers as tensors.

    Raises:
        ModelFileError: It is damaged, is no dictionary, or holds something else than arrays,
            numbers, text, lists and dictionaries.
    """
    size = check_file(path)
    try:
        with path.open("rb") as file:
            _check_memo(file)
            file.seek(0)
            content = _Unpickler(file, limit=most_unpacked(size)).load()
        if not isinstance(content, dict):
            kind = type(content).__name__
            raise ModelFileError(f"{path}: expected a dictionary of arrays (found {kind})")
        known: dict[int, dict[str, Any]] = {}
        return {str(name): _tensors(value, known) for name, value in content.items()}
    except ModelFileError:
        raise
    except _ForeignObjectError as error:
        raise ModelFileError(
            f"{path}: holds objects of {str(error)!r:.80}, not arrays alone: not opened"
        ) from error
    except Exception as error:  # pickles raise anything on damaged or malicious files
        raise damaged(path, error) from error


class _ForeignObjectError(Exception):
    """Names what a pickle wants to build that is no array."""


class _Array:
    """What numpy's `_reconstruct` makes before its content is set."""

    value: np.ndarray[Any, Any]

    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        *_, shape, dtype, is_fortran, data = state
        content = data.encode("latin1") if isinstance(data, str) else data
        self.set(content, dtype, shape, "F" if is_fortran else "C")

    def set(self, data: Any, dtype: _DType, shape: Any, order: Any) -> _Array:
        """Its content, from raw bytes."""
        self._memory.take(len(data))
        values = np.frombuffer(data, np.dtype(dtype.order + dtype.name))
        # In this machine's byte order, as PyTorch wants it.
        whole = values.astype(dtype.name)
        self.value = whole.reshape(tuple(shape), order="F" if order == "F" else "C")
        return self


class _DType:
    """A numpy dtype: its kind and size, and its byte order, which comes after."""

    def __init__(self, name: str, *_: object) -> None:
        found = _DTYPE.fullmatch(name)
        if found is None:
            raise _ForeignObjectError(f"numpy.dtype {name}")
        self.name, self.order = found[1], "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


class _Memory:
    """The bytes that objects may still have: many of them may share one text of the file."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ValueError("its arrays are too large for its size")


def _check_memo(file: IO[bytes]) -> None:
    """Check that objects are kept under numbers of which each object has one.

    The unpickler makes room for all numbers below the largest one.

    Raises:
        ValueError: They are not, or the pickle is damaged.
    """
    for count, (operation, number, _) in enumerate(pickletools.genops(file)):
        if operation.name in _PUTS and (number or 0) > count:
            raise ValueError(f"keeps its object {count} under number {number}")


def _reconstruct(memory: _Memory, *_: object) -> _Array:
    return _Array(memory)


def _frombuffer(memory: _Memory, data: Any, dtype: _DType, shape: Any, order: Any) -> _Array:
    return _Array(memory).set(data, dtype, shape, order)


def _scalar(memory: _Memory, dtype: _DType, data: Any) -> _Array:
    content = data.encode("latin1") if isinstance(data, str) else data
    return _frombuffer(memory, content, dtype, (), "C")


def _no_bytes() -> bytes:
    """What protocol 2 writes for empty bytes."""
    return b""


def _encode(memory: _Memory, text: str, _: object = None) -> bytes:
    memory.take(len(text))
    return text.encode("latin1")


def _ordered(memory: _Memory, pairs: Sequence[Any] = ()) -> dict[Any, Any]:
    memory.take(_PAIR_BYTES * len(pairs))
    return dict(pairs)


_NAMES: dict[str, Callable[..., _Array]] = {
    "multiarray._reconstruct": _reconstruct,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _frombuffer,
}
_MAKERS: dict[str, Callable[..., Any]] = {
    f"numpy.{core}.{name}": made for core in ("core", "_core") for name, made in _NAMES.items()
} | {"_codecs.encode": _encode, "collections.OrderedDict": _ordered}
"""What counts the memory that it takes."""

_STAND_INS: dict[str, Callable[..., Any]] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _DType,
    "__builtin__.bytes": _no_bytes,
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], *, limit: int) -> None:
        super().__init__(file, encoding="latin1")
        self._memory = _Memory(limit)

    def find_class(self, module: str, name: str, /) -> Any:
        """What stands for a name."""
        full = f"{module}.{name}"
        if full in _MAKERS:
            return partial(_MAKERS[full], self._memory)
        try:
            return _STAND_INS[full]
        except KeyError:
            raise _ForeignObjectError(full) from None


def _tensors(value: Any, known: dict[int, dict[str, Any]]) -> Any:
    """With arrays as tensors, also those of a dictionary, which many names may share."""
    if not isinstance(value, dict):
        return _tensor(value)
    if id(value) not in known:
        known[id(value)] = {str(name): _tensor(one) for name, one in value.items()}
    return known[id(value)]


def _tensor(value: Any) -> Any:
    return torch.from_numpy(value.value) if isinstance(value, _Array) else value
