"""Whether two colour models are the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.pictures import Picture, pictures_for
from ...model_templates.contract import Contract
from ...runtimes.session import Outputs
from ..comparison import Comparison, kind_of, largest, raw_outputs, tensor_differences
from ..model import Model

DIGITS: dict[str, int] = {}

LIMITS = {"fp32": 1e-4, "fp16": 5e-3, "int8": 0.1}
"""How far a share may be off, by precision."""


def pictures(contract: Contract, folder: Path | None = None) -> list[Picture]:
    """See `tasks.parts.Parity`."""
    return pictures_for(contract.input, folder)


def is_for(_: Contract, __: Picture) -> bool:
    """See `tasks.parts.Parity`."""
    return True


def answers_of(_: Contract, outputs: Outputs) -> Outputs:
    """See `tasks.parts.Parity`."""
    return outputs


def compare(
    _: Contract,
    expected: Sequence[Outputs],
    model: Model[Any],
    images: Sequence[NDArray[np.uint8]],
    *,
    answers_only: bool = False,  # noqa: ARG001
) -> Comparison:
    """See `tasks.parts.Parity`."""
    limit = LIMITS[kind_of(model.contract)]
    found = raw_outputs(model, images)
    apart = [
        largest(np.abs(one["probabilities"] - other["probabilities"]).max())
        for one, other in zip(expected, found, strict=True)
    ]
    agreed = sum(one <= limit for one in apart)
    worst = largest(*apart)
    return Comparison(
        tensors=tensor_differences(expected, found),
        differences={"share": worst},
        tolerances={"share": limit},
        asked=len(images),
        agreed=agreed,
        extra=0,
        problem=None if worst <= limit else f"shares differ by {worst:.3g}; allowed {limit:g}",
    )


def error(expected: Outputs, found: Outputs) -> float:
    """See `tasks.parts.Parity`."""
    return float(np.abs(expected["probabilities"] - found["probabilities"]).mean())
