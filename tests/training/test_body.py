"""A training begins with the backbone and neck of a network that has another head."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from pocketface.errors import UserError
from pocketface.models.weights import read_weights
from pocketface.training.fit import fit
from pocketface.training.prepare import prepare_training
from pocketface.training.request import FitRequest
from tests.small_training import Content, with_template
from tests.tiny_network import HEADS


def _two_stages(content: Content) -> None:
    content["architecture"] |= yaml.safe_load(HEADS["two_stage"])


def test_the_body_is_kept_and_the_head_is_new(
    settings: FitRequest, begun: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = read_weights(begun)
    other = replace(with_template(settings, _two_stages), load_weights=weights)
    other = replace(other, output=tmp_path / "other", epochs=1)
    with caplog.at_level(logging.WARNING, "pocketface"):
        networks = [prepare_training(replace(other, seed=seed)).module.network for seed in (1, 2)]
    assert "of tiny, which has another head: backbone and neck" in caplog.text
    one, two = (network.state_dict() for network in networks)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        if name.startswith("head."):
            # Random by the seed; biases begin at zero.
            assert torch.equal(tensor, two[name]) == (not tensor.any())
        else:
            assert torch.equal(tensor, weights.state_dict[name])
    report = fit(other)
    trained = read_weights(report.latest)
    assert trained.epochs == 1
    assert trained.template.architecture.head.type == "two_stage"


def test_another_backbone_is_refused(settings: FitRequest, begun: Path) -> None:
    def narrow(content: Content) -> None:
        _two_stages(content)
        content["architecture"]["backbone"]["stem_channels"] = 4

    other = with_template(settings, narrow)
    with pytest.raises(UserError, match="made for the architecture of tiny"):
        fit(replace(other, load_weights=read_weights(begun), output=settings.output / "other"))


@pytest.mark.parametrize(("keys", "warned"), [({"frozen_stages": 1}, True), ({}, False)])
def test_random_layers_that_never_learn_are_told_of(
    settings: FitRequest, caplog: pytest.LogCaptureFixture, keys: dict[str, int], warned: bool
) -> None:
    def resnet(content: Content) -> None:
        content["architecture"]["backbone"] = {"type": "resnet", "depth": 50, "finest": 8, **keys}
        content["architecture"]["neck"] = {"type": "fpn", "channels": 16, "levels": 3}

    prepare_training(with_template(settings, resnet))
    assert ("3 tensors of its backbone never learn" in caplog.text) is warned
