"""Rank layers by how much int8 hurts them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..model_templates.contract import Contract
from ..tasks import task_of
from ..tasks.load import load
from .quantizers import Quantizer


def most_guilty_first(
    quantizer: Quantizer, path: Path, contract: Contract, batches: Sequence[NDArray[np.float32]]
) -> list[str]:
    """The layers by how much keeping each alone float brings int8 closer to the float answers.

    Args:
        quantizer: The quantizer of the file's format.
        path: The float file.
        contract: The contract of the int8 files that are tried.
        batches: Inputs for ranges and for the comparison, float32 (1, 3, H, W) each.
    """
    error = task_of(contract.task).parity.error
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
