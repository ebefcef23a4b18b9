"""Read and change protobufs in their wire format, without their descriptions.

The packages that describe a format need not be installed, and what is not asked for is not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

Change = Callable[[memoryview], bytes | None]
"""Function from the content of a field to its new one; None leaves the field out."""


def fields(message: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
    """Numbers and contents of the fields of a message that have a length.

    Raises:
        ValueError: It is no protobuf.
        IndexError: It is cut off.
    """
    for number, _, content in _parts(memoryview(message)):
        if content is not None:
            yield number, content


def field(number: int, content: bytes) -> bytes:
    """A field with a length, of a number up to 15."""
    return bytes([number << 3 | 2]) + as_number(len(content)) + content


def edited(message: bytes | memoryview, changes: dict[int, Change]) -> bytes:
    """A message with other contents of some fields; the rest stays as it is.

    Args:
        message: The message.
        changes: By number of a field with a length (up to 15), what becomes of its content.

    Raises:
        ValueError, IndexError: See `fields`.
    """
    pieces: list[bytes | memoryview] = []
    for number, whole, content in _parts(memoryview(message)):
        if content is None or number not in changes:
            pieces.append(whole)
            continue
        new = changes[number](content)
        if new is not None:
            pieces.append(field(number, new))
    return b"".join(pieces)


def number_at(view: bytes | memoryview, position: int) -> tuple[int, int]:
    """A number of variable length, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = view[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("a number of more than ten bytes")


def as_number(value: int) -> bytes:
    """A number that is not negative, in variable length."""
    code = bytearray()
    while value > 127:
        code.append(value & 127 | 128)
        value >>= 7
    return bytes([*code, value])


def _parts(view: memoryview) -> Iterator[tuple[int, memoryview, memoryview | None]]:
    """Of each field its number, all of it, and its content if that has a length."""
    position = 0
    while position < len(view):
        start = position
        key, position = number_at(view, position)
        kind, content = key & 7, None
        if kind == 0:
            _, position = number_at(view, position)
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
        elif kind == 2:
            length, position = number_at(view, position)
            if position + length > len(view):
                raise ValueError("a field is longer than the file")
            content = view[position : position + length]
            position += length
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        yield key >> 3, view[start:position], content
