"""Templates and contracts of segmenters that do not hold together."""

from __future__ import annotations

from typing import Any

import pytest

from pocketface.errors import TemplateError
from pocketface.model_templates.contract import Contract
from pocketface.tasks.describe import contract_for
from pocketface.tasks.segmentation.rules import check_contract
from pocketface.tasks.templates import parse_template

from .tiny_segmenter import FOUR, TINY, UNET


@pytest.mark.parametrize(
    ("text", "old", "new", "message"),
    [
        (TINY, "[face]", "[face, hair]", "expected one class, or several of which the first is"),
        (TINY, "[face]", "[background]", "expected one class, or several of which the first is"),
        (FOUR, "hair]", "face]", "expected 4 for problem 'face-segmentation', each once"),
        (FOUR, "classes: 4", "classes: 3", "head.classes is 3, but dataset.classes has 4"),
        (TINY, UNET, "{type: classes, classes: 2, hidden: 8}", "head.type does not fit problem"),
        (TINY, "align, eyes: [0.381, 0.622, 0.475]", "stretch", "input.resize does not fit"),
        (
            TINY,
            "crop: head",
            "crop: head, scale: [1.3, 0.7]",
            r"scale.* expected the smaller first",
        ),
        (
            TINY,
            "crop: head",
            "crop: head, dropout: {chance: 1, height: [0.1, 0.2], width: [0.3, 0.2]}",
            r"dropout\.width.* found \[0\.3, 0\.2\]: expected the smaller first",
        ),
        (TINY, "convolutions: 1", "convolutions: 1, loss: {cross_entropy: 0}", "all losses are 0"),
    ],
)
def test_templates(text: str, old: str, new: str, message: str) -> None:
    assert parse_template(text, source="test")
    assert old in text
    with pytest.raises(TemplateError, match=message):
        parse_template(text.replace(old, new), source="test")


def outputs(contract: Contract, *names: str, classes: int = 1) -> list[dict[str, Any]]:
    spec = contract.input
    shape = (spec.batch, classes, spec.height, spec.width)
    return [{"name": name, "shape": shape, "meaning": "", "unit": ""} for name in names]


def test_contracts() -> None:
    contract = contract_for(parse_template(TINY, source="test"))

    def why(**changes: Any) -> str | None:
        return check_contract(Contract.model_validate(contract.model_dump() | changes))

    assert why() is None
    assert why(outputs=tuple(outputs(contract, "mask", "mask_image"))) is None
    for wrong in (
        outputs(contract, "mask", classes=2),
        outputs(contract, "probabilities"),
        outputs(contract, "mask", "other"),
    ):
        assert "expected mask (-1, 1, 64, 64)" in (why(outputs=tuple(wrong)) or "")
    assert "rules.classes" in (why(rules={"classes": [], "threshold": 0.5}) or "")
    stretched = contract.input.model_dump() | {"resize": "stretch", "points": None}
    assert why(input=stretched) == "input resize stretch: expected align, with five points"
