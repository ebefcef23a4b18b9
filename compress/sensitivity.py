"""Which layers int8 hurts most."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..model_templates.contract import Contract
from ..runtimes import load
from ..runtimes.session import Outputs
from .quantizers import Quantizer

_LEAST_SCORE = 0.05
"""Of the float file, from which on a box counts: of background, nothing is shown."""


def most_guilty_first(
    quantizer: Quantizer, path: Path, contract: Contract, batches: Sequence[NDArray[np.float32]]
) -> list[str]:
    """The layers by how much nearer to the float file's answers one alone brings the int8 file.

    Args:
        quantizer: Of the file's format.
        path: The float file.
        contract: Of the int8 files that are tried.
        batches: For the ranges, and what the files are asked; float32 (1, 3, H, W).
    """
    model = load(path)
    expected = [model.raw(batch) for batch in batches]
    errors: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch, f"tried{path.suffix}")
        for layer in quantizer.layers(path):
            quantizer.quantize(path, target, contract, batches, [layer])
            tried = load(target)
            pairs = zip(batches, expected, strict=True)
            errors[layer] = float(np.mean([error(one, tried.raw(batch)) for batch, one in pairs]))
    return sorted(errors, key=lambda layer: errors[layer])


def error(expected: Outputs, found: Outputs) -> float:
    """How far answers are apart: of scores, plus that of corners as shares of their box's side.

    Args:
        expected: Raw outputs for one image; see `Model.raw`.
        found: Likewise.
    """
    if "probabilities" in expected:
        return float(np.abs(expected["probabilities"] - found["probabilities"]).mean())
    shown = expected["scores"] >= _LEAST_SCORE
    if not shown.any():
        return 0.0
    scores = np.abs(expected["scores"] - found["scores"])[shown].mean()
    boxes = expected["boxes"][shown]
    sides = (boxes[:, 2:] - boxes[:, :2]).max(1).clip(min=1)
    corners = np.abs(boxes - found["boxes"][shown]).max(1) / sides
    return float(scores + corners.mean())
