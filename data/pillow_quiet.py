"""Keep Pillow and its libtiff quiet while they read a photo: in the reading thread, without a lock.

What they say, the caller learns from their exceptions. Python's own `warnings.catch_warnings`
swaps the filters of the whole process (before Python 3.14), so that two threads in such a block
would need a lock around all that they read. One filter more, which asks whether its own thread is
reading, needs none; it stays, before the filters of a program that uses this package.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import Any, cast


class _Reading(threading.local):
    """Is this thread reading a photo?"""

    now = False

    def match(self, _: str) -> bool:
        """Stand in for the regular expression of a warnings filter."""
        return self.now

    def filter(self, _: logging.LogRecord) -> bool:
        """Stand in for the filter of a logger."""
        return not self.now


_reading = _Reading()
_FILTER = ("ignore", None, Warning, _reading, 0)


@contextlib.contextmanager
def pillow_quiet() -> Iterator[None]:
    """Neither warnings nor log records of this thread, and nothing of libtiff on stderr."""
    _quiet_libtiff()
    filters = cast(list[Any], warnings.filters)
    if not filters or filters[0] is not _FILTER:  # at first, or after a program set its own
        with contextlib.suppress(ValueError):
            filters.remove(_FILTER)
        filters.insert(0, _FILTER)
    before, _reading.now = _reading.now, True
    try:
        yield
    finally:
        _reading.now = before


@functools.cache
def _quiet_libtiff() -> None:
    """Take away the function with which libtiff prints errors; Pillow raises them anyway."""
    pillow = importlib.import_module("PIL._imaging")
    logging.getLogger("PIL.TiffImagePlugin").addFilter(_reading)
    # Windows' Pillow has libtiff inside, where its functions cannot be reached by name.
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(pillow.__file__).TIFFSetErrorHandler(None)
