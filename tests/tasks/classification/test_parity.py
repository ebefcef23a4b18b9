"""What counts as the same answer of two classifiers, and what does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pocketface.model_templates.contract import Contract
from pocketface.runtimes.session import Outputs, Session
from pocketface.tasks.classification.model import FaceClassifier
from pocketface.tasks.classification.parity import answers_of, compare
from pocketface.tasks.comparison import raw_outputs

IMAGES = [np.full((80, 160, 3), grey, np.uint8) for grey in (50, 200)]


def contract_of(precision: str = "fp32", *, batch: int = 1) -> Contract:
    output = {"name": "probabilities", "shape": (batch, 2), "meaning": "", "unit": ""}
    return Contract.model_validate(
        {
            "name": "constant",
            "task": "face-classification",
            # Parity takes each picture for an aligned face, whatever its size.
            "input": {"shape": (batch, 3, 80, 160), "resize": "stretch"},
            "outputs": (output,),
            "rules": {
                "labels": ["no_glass", "glass"],
                "score_threshold": 0.5,
                "endpoint": "constant",
            },
            "precision": precision,
            "provenance": {"template": "constant", "package_version": "0"},
        }
    )


def model_of(contract: Contract, *shares: float) -> FaceClassifier:
    """Of the last label, for each image of a batch."""

    def run(batch: np.ndarray) -> Outputs:
        last = np.resize(np.array(shares, np.float32), len(batch))
        return {"probabilities": np.stack([1 - last, last], 1)}

    session = Session("fake", "cpu", None, {}, {}, run)
    return FaceClassifier(contract=contract, session=session, path=Path("fake"))


@pytest.mark.parametrize(
    ("precision", "share", "problem"),
    [
        ("fp32", 0.7, None),
        ("fp32", 0.70009, None),
        ("fp32", 0.7002, "probabilities differ by 0.0002"),
        ("fp16", 0.704, None),
        ("fp16", 0.45, "probabilities differ by 0.25"),
        ("fp32", float("nan"), "probabilities differ by nan"),
    ],
)
@pytest.mark.parametrize("answers_only", [False, True])
def test_labels(precision: str, share: float, problem: str | None, answers_only: bool) -> None:
    contract = contract_of(precision)
    expected = raw_outputs(model_of(contract, 0.7), IMAGES)
    if answers_only:
        expected = [answers_of(contract, one) for one in expected]
    found = compare(
        contract, expected, model_of(contract, share), IMAGES, answers_only=answers_only
    )
    assert (found.problem or "").startswith(problem or "")
    assert (found.problem is None) == (problem is None)
    assert (found.asked, found.extra) == (2, 0)
    assert found.differences.keys() == found.tolerances.keys() == {"probability"}
    assert found.tensors.keys() == {"probabilities"}
    assert found.agreed == (2 if share >= 0.5 else 0)


def test_another_label_within_the_tolerance_of_a_probability() -> None:
    """An int8 file may be 0.1 off, and so on the other side; but not a face that is clear."""
    contract = contract_of("int8")
    expected = raw_outputs(model_of(contract, 0.58), IMAGES)
    found = compare(contract, expected, model_of(contract, 0.49), IMAGES)
    assert (found.problem, found.agreed) == (None, 2)
    expected = raw_outputs(model_of(contract, 0.601), IMAGES)
    found = compare(contract, expected, model_of(contract, 0.4999), IMAGES)
    assert found.agreed == 0
    assert found.problem is not None


def test_a_probability_at_the_threshold_may_fall_to_either_side() -> None:
    expected = [{"probabilities": np.array([[0.49999, 0.50001]], np.float32)}] * 2
    found = compare(contract_of(), expected, model_of(contract_of(), 0.49995), IMAGES)
    assert (found.problem, found.agreed) == (None, 2)


def test_a_batch_must_answer_as_its_images() -> None:
    expected = raw_outputs(model_of(contract_of(), 0.7), IMAGES)
    found = compare(contract_of(), expected, model_of(contract_of(batch=-1), 0.7, 0.8), IMAGES)
    assert found.problem is not None
    assert "probabilities differ by 0.1" in found.problem
