"""Compare two recognisers: the angle between their vectors of the same face."""

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

DIGITS: dict[str, int] = {}

LIMITS = {"fp32": 1e-4, "fp16": 1e-3, "int8": 0.1}
"""Largest 1 - cosine of the two vectors of a face, by precision."""

_LENGTH = 0.01
"""How far a vector's length may be from 1."""

_NAME = "embedding"


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
    contract: Contract,  # noqa: ARG001
    expected: Sequence[Outputs],
    model: Model[Any],
    images: Sequence[NDArray[np.uint8]],
    *,
    answers_only: bool = False,  # noqa: ARG001
) -> Comparison:
    """See `tasks.parts.Parity`; an answer agrees if its own angle is within the tolerance."""
    limit = LIMITS[kind_of(model.contract)]
    found = raw_outputs(model, images)
    apart, length, same = 0.0, 0.0, 0
    for alone, answers in ((True, found), (False, as_batch(model, images))):
        for one, other in zip(expected, answers, strict=False):
            turned = error(one, other)
            apart = largest(apart, turned)
            length = largest(length, abs(float(np.linalg.norm(other[_NAME])) - 1))
            same += alone and turned <= limit
    return Comparison(
        tensors=tensor_differences(expected, found),
        differences={"1 - cosine": apart, "length": length},
        tolerances={"1 - cosine": limit, "length": _LENGTH},
        asked=len(images),
        agreed=same,
        extra=0,
        problem=_problem(apart, limit, length),
    )


def error(expected: Outputs, found: Outputs) -> float:
    """See `tasks.parts.Parity`; 1 - cosine of the two vectors."""
    one, other = (outputs[_NAME].astype(np.float64).ravel() for outputs in (expected, found))
    return float(1 - one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def _problem(apart: float, limit: float, length: float) -> str | None:
    if not apart <= limit:  # this form fails for NaN too
        return f"embeddings are turned by {apart:.3g} (1 - cosine); allowed {limit:g}"
    if not length <= _LENGTH:
        return f"embeddings have lengths that are {length:.3g} from 1; allowed {_LENGTH:g}"
    return None
