"""Compare two classifiers: their probabilities, and the resulting labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.pictures import Picture, pictures_for
from ...model_templates.contract import Contract
from ...runtimes.session import Outputs
from ..comparison import Comparison, as_batch, kind_of, largest, raw_outputs, tensor_differences
from ..model import Model
from .rules import classification_rules

DIGITS: dict[str, int] = {}

LIMITS = {"fp32": 1e-4, "fp16": 5e-3, "int8": 0.1}
"""Largest difference of a probability, by precision."""

_NAME = "probabilities"


def pictures(contract: Contract, folder: Path | None = None) -> list[Picture]:
    """See `tasks.parts.Parity`."""
    return pictures_for(contract.input, folder)


def is_for(_: Contract, __: Picture) -> bool:
    """See `tasks.parts.Parity`."""
    return True


def answers_of(_: Contract, outputs: Outputs) -> Outputs:
    """See `tasks.parts.Parity`; the outputs unchanged, as they are small."""
    return outputs


def compare(
    contract: Contract,
    expected: Sequence[Outputs],
    model: Model[Any],
    images: Sequence[NDArray[np.uint8]],
    *,
    answers_only: bool = False,  # noqa: ARG001
) -> Comparison:
    """See `tasks.parts.Parity`.

    A label agrees if it is the same, or if its score is within the tolerance of the threshold.
    """
    limit = LIMITS[kind_of(model.contract)]
    found = raw_outputs(model, images)
    apart = 0.0
    for answers in (found, as_batch(model, images)):
        for one, other in zip(expected, answers, strict=False):
            apart = largest(apart, np.abs(one[_NAME].astype(np.float64) - other[_NAME]).max())
    threshold = classification_rules(contract).score_threshold
    same = 0
    for one, other in zip(expected, found, strict=True):
        wanted, seen = one[_NAME][0, -1], other[_NAME][0, -1]
        same += bool(
            (wanted >= threshold) == (seen >= threshold) or abs(wanted - threshold) <= limit
        )
    return Comparison(
        tensors=tensor_differences(expected, found),
        differences={"probability": apart},
        tolerances={"probability": limit},
        asked=len(images),
        agreed=same,
        extra=0,
        problem=_problem(apart, limit, asked=len(images), agreed=same),
    )


def error(expected: Outputs, found: Outputs) -> float:
    """See `tasks.parts.Parity`; the error of probabilities."""
    return float(np.abs(expected[_NAME] - found[_NAME]).mean())


def _problem(apart: float, limit: float, *, asked: int, agreed: int) -> str | None:
    if not apart <= limit:  # this form fails for NaN too
        return f"probabilities differ by {apart:.3g}; allowed {limit:g}"
    if agreed < asked:
        return f"{asked - agreed} of {asked} faces have another label"
    return None
