"""The contract of a network, from its template."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pocketface.errors import TemplateError, UserError
from pocketface.model_templates.catalogue import shipped_weights
from pocketface.model_templates.contract import Contract
from pocketface.model_templates.schema import WeightsSpec
from pocketface.tasks.describe import contract_for
from pocketface.tasks.detection import rules
from pocketface.tasks.templates import open_template, parse_template

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


def test_a_licence_is_stated_of_what_ships_alone(tiny_weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from pocketface.models.weights import read_weights, write_weights

    ours = open_template("glasses-cnn")
    shipped = shipped_weights(ours)
    assert shipped is not None
    weights = read_weights(shipped)
    for one in (weights, weights.described_by(ours)):
        contract = contract_for(one.template, weights=one)
        assert contract.provenance.licence == "Apache-2.0"
    # Whoever trains on has other weights, though the template still names what shipped.
    own = tmp_path / "own.safetensors"
    state = {name: tensor + 1e-3 for name, tensor in weights.state_dict.items()}
    write_weights(own, template_text=ours.text, state_dict=state, epochs=1)
    # Nor is what a template of their own says shipped by us.
    read = read_weights(tiny_weights)
    spec = {"file": "w.safetensors", "sha256": read.sha256, "size": 1}
    theirs = read.template.model_copy(update={"initial_weights": WeightsSpec.model_validate(spec)})
    for one, template in ((read_weights(own), ours.spec), (read, theirs)):
        assert contract_for(template, weights=one).provenance.licence is None
    assert contract_for(ours.spec).provenance.licence is None


def test_contracts_that_state_a_licence_open() -> None:
    contract = contract_for(parse_template(TEXT, source="tiny"))
    old = json.loads(contract.to_json())
    for licence in ("Apache-2.0", None):
        old["provenance"]["licence"] = licence
        read = Contract.from_json(json.dumps(old), source="m.onnx")
        assert read.provenance.licence == licence
    del old["provenance"]["licence"]
    assert Contract.from_json(json.dumps(old), source="m.onnx") == contract


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
