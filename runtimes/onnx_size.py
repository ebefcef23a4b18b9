"""Declare another input size in an `.onnx` file whose graph computes what depends on it."""

from __future__ import annotations

from functools import partial

from ..errors import ModelFileError
from ..model_templates.contract import CONTRACT_KEY, Contract
from .free_size import size_to_open
from .protobuf import Change, as_number, edited, fields, number_at

_GRAPH, _METADATA = 7, 14
_INPUTS, _OUTPUTS, _VALUES = 11, 12, 13
_KEY, _VALUE = 1, 2
_TYPE, _TENSOR, _SHAPE, _DIMENSION = 2, 1, 2, 1
_SIZE = bytes([1 << 3])
"""Field numbers of onnx.proto: ModelProto, GraphProto, StringStringEntryProto, and those on the way
from ValueInfoProto to a dimension; and how a dimension begins that is a number."""


def resized(content: bytes, input_size: tuple[int, int] | None, *, source: str) -> bytes:
    """The content of a file, with another input size if that is asked for and free.

    Args:
        content: The file's content.
        input_size: Height and width in pixels; None for the file's.
        source: The file, for error messages.

    Returns:
        `content` itself, or a copy that declares the size. What the file declares of other arrays
        is left out, so that runtimes find it out by themselves.

    Raises:
        ContractError, UserError: See `size_to_open`.
        ModelFileError: The file is damaged, or declares another input than its contract.
    """
    if input_size is None:
        return content
    try:
        found = size_to_open(_contract_in(content), input_size, source=source)
        if found is None:
            return content
        contract, size = found
        graph: dict[int, Change] = {
            _INPUTS: partial(_with_input, contract=contract, size=size),
            _OUTPUTS: _without_sizes,
            _VALUES: lambda _: None,
        }
        return edited(content, {_GRAPH: lambda part: edited(part, graph)})
    except (ValueError, IndexError) as error:
        raise ModelFileError(f"{source}: damaged, or not an .onnx file: {error}") from error


def _contract_in(content: bytes) -> str:
    entries = [dict(fields(part)) for number, part in fields(content) if number == _METADATA]
    texts = {bytes(one.get(_KEY, b"")): bytes(one.get(_VALUE, b"")) for one in entries}
    return texts.get(CONTRACT_KEY.encode(), b"").decode()


def _with_input(value: memoryview, *, contract: Contract, size: tuple[int, int]) -> bytes:
    """An input with another height and width."""
    own = contract.input.height, contract.input.width
    place = -1

    def dimension(content: memoryview) -> bytes:
        nonlocal place
        place += 1
        if place not in (2, 3):
            return bytes(content)
        declared = _number_in(content)
        if declared != own[place - 2]:
            raise ValueError(f"its input has a side of {declared}; its contract says {own}")
        return _SIZE + as_number(size[place - 2])

    return _with_dimensions(value, dimension)


def _without_sizes(value: memoryview) -> bytes:
    """An output that declares only how many dimensions it has, and their names."""
    return _with_dimensions(value, lambda one: b"" if _number_in(one) is not None else bytes(one))


def _with_dimensions(value: memoryview, change: Change) -> bytes:
    for number in (_DIMENSION, _SHAPE, _TENSOR, _TYPE):
        change = partial(edited, changes={number: change})
    return change(value) or b""


def _number_in(dimension: memoryview) -> int | None:
    """The size that a dimension states, if it is a number."""
    return number_at(dimension, 1)[0] if dimension[:1] == _SIZE else None
