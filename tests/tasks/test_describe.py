"""The contract of a network, from its template."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketface.errors import TemplateError, UserError
from pocketface.tasks.describe import contract_for
from pocketface.tasks.detection import rules
from pocketface.tasks.templates import parse_template

TEXT = (Path(__file__).parents[1] / "tiny_template.yaml").read_text()


def test_what_a_template_says_is_in_the_contract() -> None:
    contract = contract_for(parse_template(TEXT, source="tiny"), height=32, width=64)
    assert (contract.name, contract.task) == ("tiny", "face-detection")
    assert contract.input.shape == (-1, 3, 32, 64)
    assert {output.name: output.shape for output in contract.outputs} == {
        "boxes": (-1, 42, 4),
        "scores": (-1, 42),
        "landmarks": (-1, 42, 5, 2),
    }
    assert contract.rules == {
        "labels": ["face"],
        "score_threshold": 0.3,
        "nms_iou": 0.45,
        "nms": "runtime",
    }
    assert contract.provenance.checkpoint_sha256 is None


def test_an_output_that_the_task_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could say what it means."""
    known = {name: rules.OUTPUTS[name] for name in ("boxes", "scores")}
    monkeypatch.setattr(rules, "OUTPUTS", known)
    message = "template tiny: its network gives landmarks; face-detection knows boxes, scores"
    with pytest.raises(UserError, match=message):
        contract_for(parse_template(TEXT, source="tiny"))


def test_an_unknown_task_lists_the_known_ones() -> None:
    text = TEXT.replace("problem: face-detection", "problem: mind-reading")
    message = "unknown task 'mind-reading': expected one of face-detection, face-classification"
    with pytest.raises(TemplateError, match=message):
        parse_template(text, source="tiny")
