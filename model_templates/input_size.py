"""The size of a network's input, which a template may leave free."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any, cast

from ..errors import UserError
from .schema import Template

MAX_PIXELS = 64_000_000
"""Most pixels of an input; photos with more are not read either."""


def input_size(
    template: Template, *, height: int | None = None, width: int | None = None
) -> tuple[int, int]:
    """Height and width of the network input, the template's unless overridden.

    Raises:
        UserError: The template does not allow this size, or it exceeds `MAX_PIXELS`.
    """
    default = template.input
    size = (default.height if height is None else height, default.width if width is None else width)
    if size == (default.height, default.width):
        return size
    asked = _asked(size)
    step = default.multiple_of
    if step is None:
        raise UserError(
            f"{asked}: template {template.name} has a fixed input of "
            f"{default.height}x{default.width}"
        )
    check_multiples(size, step, of=f"template {template.name}")
    try:
        template.architecture.check_room(*size)
    except ValueError as error:
        raise UserError(f"{asked}: {error}") from error
    return size


def check_pair(size: object) -> None:
    """Check that what a program gives as a size is a height and a width.

    Raises:
        UserError: It is no pair of whole numbers.
    """
    try:
        height, width = cast("Iterable[Any]", size)
        operator.index(height), operator.index(width)
    except (TypeError, ValueError):
        raise UserError(f"input_size is {size!r}: expected (height, width) in pixels") from None


def check_multiples(size: tuple[int, int], step: int, *, of: str) -> None:
    """Check the size of an input that may be any multiple of `step`.

    Args:
        size: Height and width in pixels.
        step: What both must be multiples of.
        of: The template or file, for error messages.

    Raises:
        UserError: The size is no such, or it exceeds `MAX_PIXELS`.
    """
    if any(side < step or side % step for side in size):
        raise UserError(f"{_asked(size)}: {of} takes positive multiples of {step}")
    if size[0] * size[1] > MAX_PIXELS:
        raise UserError(f"{_asked(size)}: above the limit of {MAX_PIXELS:,} pixels")


def _asked(size: tuple[int, int]) -> str:
    return f"--input-size {size[0]}x{size[1]} (height x width)"
