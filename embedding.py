"""What a recogniser says of a face: a vector of unit length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

_DIGITS = 6
"""Decimals of components in JSON."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """A face as a vector; those of one person point in similar directions.

    Attributes:
        vector: float32 (D,), of unit length.
    """

    vector: NDArray[np.float32]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Embedding):
            return NotImplemented
        return np.array_equal(self.vector, other.vector)

    def __repr__(self) -> str:
        return f"Embedding({len(self.vector)} components)"

    def similarity(self, other: Embedding) -> float:
        """Cosine of the angle between two faces' vectors, -1 to 1.

        `FaceRecognizer.probability` says what it means.

        Raises:
            InputError: The other is of a network with another number of components.
        """
        if self.vector.shape != other.vector.shape:
            raise InputError(
                f"embeddings have {len(self.vector)} and {len(other.vector)} components: expected "
                "two of the same model"
            )
        return float(self.vector.astype(np.float64) @ other.vector)

    def to_dict(self) -> dict[str, Any]:
        """`vector` as a list of numbers.

        Raises:
            InputError: A number is not finite, which JSON has no form for.
        """
        if not np.isfinite(self.vector).all():
            raise InputError("an embedding has components that are not finite")
        return {"vector": [round(float(value), _DIGITS) for value in self.vector]}
