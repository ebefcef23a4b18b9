"""Common parts of all tasks' comparisons of two models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.preprocess import prepare
from ..model_templates.contract import Contract
from ..runtimes.session import Outputs
from .model import Model


class TensorDifference(NamedTuple):
    """Differences of one output tensor over all images, in the output's unit."""

    max_abs: float
    mean_abs: float
    cosine: float


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison over all images.

    Attributes:
        tensors: Differences by output; empty if outputs cannot be compared element by element.
        differences: Largest differences by name.
        tolerances: Largest allowed differences by name; others are not judged.
        asked: Number of the reference's answers: faces found, or faces shown.
        agreed: Number of these that the other model gives too.
        extra: Number of answers that only the other model gives.
        problem: Why the models are not the same; None if they are.
    """

    tensors: Mapping[str, TensorDifference]
    differences: Mapping[str, float]
    tolerances: Mapping[str, float]
    asked: int
    agreed: int
    extra: int
    problem: str | None


def largest(*values: float) -> float:
    """The maximum, or NaN if any value is NaN, which Python's `max` may ignore."""
    return float(np.max(values))


def raw_outputs(model: Model[Any], images: Sequence[NDArray[np.uint8]]) -> list[Outputs]:
    """Outputs for each image in batches of 1, with one input in memory at a time."""
    return [model.raw(prepare(image, model.contract.input)[0]) for image in images]


def as_batch(model: Model[Any], images: Sequence[NDArray[np.uint8]]) -> list[Outputs]:
    """Outputs of the first two images run as one batch; empty if the batch size is fixed."""
    if model.contract.input.batch != -1:
        return []
    batch = np.concatenate([prepare(image, model.contract.input)[0] for image in images[:2]])
    together = model.raw(batch)
    return [
        {name: array[index : index + 1] for name, array in together.items()}
        for index in range(len(batch))
    ]


def tensor_differences(
    expected: Sequence[Outputs], found: Sequence[Outputs]
) -> dict[str, TensorDifference]:
    """Differences of each output over all images."""
    return {
        name: _difference([one[name] for one in expected], [one[name] for one in found])
        for name in expected[0]
    }


def kind_of(contract: Contract) -> str:
    """The precision whose tolerances apply to a file: "fp32", "fp16" or "int8"."""
    return contract.precision if contract.precision in ("fp32", "fp16") else "int8"


def _difference(
    expected: Sequence[NDArray[np.float32]], found: Sequence[NDArray[np.float32]]
) -> TensorDifference:
    one = np.concatenate([array.ravel() for array in expected]).astype(np.float64)
    other = np.concatenate([array.ravel() for array in found]).astype(np.float64)
    apart = np.abs(one - other)
    norms = np.linalg.norm(one) * np.linalg.norm(other)
    cosine = float(one @ other / norms) if norms else 1.0
    return TensorDifference(float(apart.max()), float(apart.mean()), cosine)
