"""How large the arrays of a graph may be, by its shapes, before it runs.

A file of a few bytes can ask for an array of any size.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import ModelFileError
from .session import Shape

FREE, _FOR_EACH = 64 << 20, 2000
"""A graph may have this many values in any case, and for each value of its input. The networks of
our templates have 10 to 400 for each."""


def values_in(shapes: Iterable[Shape]) -> int:
    """Number of values of arrays, of one image where a size is free."""
    return sum(_values(shape) for shape in shapes)


def check_values(count: int, input_shape: Shape, *, where: str, free: int = FREE) -> None:
    """Check the number of values that a graph computes for one image.

    Args:
        count: The number, in all arrays together.
        input_shape: Shape of the image.
        where: Name of the file in error messages.
        free: How many it may have in any case.

    Raises:
        ModelFileError: It is out of all proportion to the image.
    """
    limit = free + _FOR_EACH * _values(input_shape)
    if count > limit:
        raise ModelFileError(
            f"{where}: computes {count:,} numbers for an input of {tuple(input_shape)}: expected "
            f"{limit:,} at most"
        )


def _values(shape: Shape) -> int:
    count = 1
    for size in shape:
        count *= max(size, 1)
    return count
