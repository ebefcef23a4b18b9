"""Height and width of a feature map: constants of a traced graph, or computed by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

_FREE = ContextVar("free map sizes", default=False)


@contextmanager
def free_map_sizes() -> Iterator[None]:
    """Within it, a traced graph computes sizes from its input, so that it serves any input size."""
    before = _FREE.set(True)
    try:
        yield
    finally:
        _FREE.reset(before)


def map_size(x: Tensor) -> tuple[int, int]:
    """Height and width of a map (B, C, H, W).

    The tracer follows the numbers that a shape gives; int() makes constants of them.
    """
    if not _FREE.get():
        return int(x.shape[-2]), int(x.shape[-1])
    # Of one image, as ONNX Runtime computes what follows from a shape as it opens a file, but only
    # if all of the shape is known, and the batch is not.
    height, width = x[0].shape[-2:]
    return height, width
