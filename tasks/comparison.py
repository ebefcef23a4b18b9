"""How far one model answers as another: what the comparisons of all tasks have in common."""

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
    """Of one output tensor over all images; in the output's own unit."""

    max_abs: float
    mean_abs: float
    cosine: float


@dataclass(frozen=True)
class Comparison:
    """What was found, over all images.

    Attributes:
        tensors: By output; empty where outputs cannot be compared one by one.
        differences: The largest ones, by name.
        tolerances: The largest allowed, by name; a difference without one is not judged.
        asked: Answers that the reference gives: faces found, or faces shown.
        agreed: Of these, given by the other too.
        extra: Answers that only the other gives.
        problem: Why it is not the same model; None if it is.
    """

    tensors: Mapping[str, TensorDifference]
    differences: Mapping[str, float]
    tolerances: Mapping[str, float]
    asked: int
    agreed: int
    extra: int
    problem: str | None


def largest(*values: float) -> float:
    """The maximum, or NaN where one is: Python's `max` may lose it."""
    return float(np.max(values))


def raw_outputs(model: Model[Any], images: Sequence[NDArray[np.uint8]]) -> list[Outputs]:
    """For each image, batch 1; one input at a time, as they may be large."""
    return [model.raw(prepare(image, model.contract.input)[0]) for image in images]


def as_batch(model: Model[Any], images: Sequence[NDArray[np.uint8]]) -> list[Outputs]:
    """The first two as one batch, taken apart again; none where the batch size is fixed."""
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
    """Each output over all images."""
    return {
        name: _difference([one[name] for one in expected], [one[name] for one in found])
        for name in expected[0]
    }


def kind_of(contract: Contract) -> str:
    """By which tolerances a file is judged: "fp32", "fp16" or "int8"."""
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
