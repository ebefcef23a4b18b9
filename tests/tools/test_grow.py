"""Networks that begin with the weights of smaller ones."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

from pocketface.errors import UserError
from pocketface.models.weights import build_network, read_weights

from ..tiny_network import TEMPLATE, write_tiny_weights

GROW = Path(__file__).parents[2] / "tools" / "grow.py"


def grown(monkeypatch: pytest.MonkeyPatch, *arguments: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["grow.py", *map(str, arguments)])
    runpy.run_path(str(GROW))["main"]()


@pytest.mark.parametrize("separable", [False, True])
def test_a_grown_network_answers_as_before_and_learns(
    separable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TEMPLATE.replace("type: plain", f"type: plain\n    separable: {str(separable).lower()}")
    weights = write_tiny_weights(tmp_path, text)
    template = tmp_path / "template.yaml"
    larger = text.replace("blocks: 1}", "blocks: 3}").replace("blocks: 0}", "blocks: 1}")
    assert larger.count("blocks: 1}") == 3
    template.write_text(larger, encoding="utf-8")
    start = tmp_path / "start.safetensors"
    grown(monkeypatch, template, weights, start)
    before, after = (build_network(read_weights(path)) for path in (weights, start))
    images = torch.rand(2, 3, 64, 64) * 255
    with torch.no_grad():
        for one, other in zip(before(images), after(images), strict=True):
            torch.testing.assert_close(one, other)
    assert len(list(after.parameters())) > len(list(before.parameters()))
    after.train()
    sum(one.sum() for one in after(images)).backward()  # type: ignore[union-attr]
    new = [
        after.get_parameter(name)
        for name in dict(after.named_parameters()).keys() - dict(before.named_parameters()).keys()
    ]
    assert sum(bool(one.grad is not None and one.grad.any()) for one in new) >= 5


def test_other_differences_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = write_tiny_weights(tmp_path)
    template, start = tmp_path / "template.yaml", tmp_path / "start.safetensors"
    template.write_text(TEMPLATE.replace("stem_channels: 8", "stem_channels: 16"), encoding="utf-8")
    with pytest.raises(UserError, match=r"has no place for backbone"):
        grown(monkeypatch, template, weights, start)
    assert not start.exists()
