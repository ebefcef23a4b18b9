"""What an example in another language answers to cases, value by value."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Driver = Callable[[str, Path], bytes]
"""Runs an example's code on a file and gives its answer."""

LANGUAGES = ("javascript", "kotlin", "swift")


class Packed(Protocol):
    """A case."""

    def packed(self) -> bytes:
        """As the drivers read it."""


class Answers:
    """A driver's answer to all cases, in their order.

    Args:
        language: One of `LANGUAGES`.
        driver: Of that language.
        what: The example's code that runs.
        cases: What it runs on.
        folder: For the file of the cases.
    """

    def __init__(
        self, language: str, driver: Driver, what: str, cases: Sequence[Packed], folder: Path
    ) -> None:
        path = folder / "cases"
        path.write_bytes(struct.pack("<i", len(cases)) + b"".join(one.packed() for one in cases))
        self.language = language
        self._stream = driver(what, path)
        self._at = 0

    def take(self, count: int, dtype: str) -> NDArray[Any]:
        """The next values."""
        values = np.frombuffer(self._stream, dtype, count, self._at)
        self._at += values.nbytes
        return values

    def picture(self, rows: int, columns: int) -> NDArray[np.float32]:
        """The next input of a network, (rows, columns, 3), which each language lays out its way."""
        size = rows * columns
        if self.language == "javascript":
            return self.take(3 * size, "<f4").reshape(3, rows, columns).transpose(1, 2, 0)
        if self.language == "kotlin":
            return self.take(3 * size, "<f4").reshape(rows, columns, 3)
        pixels = self.take(4 * size, "u1").reshape(rows, columns, 4)
        assert (pixels[..., 3] == 255).all()
        return pixels[..., :3].astype(np.float32)

    def check_end(self) -> None:
        """There is nothing after the last value."""
        assert self._at == len(self._stream)
