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
from pocketface.tasks.templates import parse_template
from pocketface.training.body import body_of, gives_a_body
from pocketface.training.fit import fit
from pocketface.training.prepare import prepare_training
from pocketface.training.request import FitRequest
from tests.small_training import Content, with_template
from tests.tiny_network import HEADS, TEMPLATE, write_tiny_weights


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


def _with_a_second_stage(content: Content) -> None:
    """Behind the same head, whose losses are others."""
    head = content["architecture"]["head"]
    content["architecture"] |= yaml.safe_load(HEADS["probabilistic_two_stage"])
    head["loss"] |= {"box_weight": 3.0}
    content["architecture"]["head"]["first"] = head


def test_a_dense_head_becomes_the_first_of_two_stages_and_may_be_frozen(
    settings: FitRequest, begun: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def frozen(content: Content) -> None:
        _with_a_second_stage(content)
        content["hyper_parameters"]["frozen"] = ["backbone", "neck", "head.first"]

    weights = read_weights(begun)
    other = replace(with_template(settings, frozen), load_weights=weights)
    other = replace(other, output=tmp_path / "other", epochs=1)
    with caplog.at_level(logging.WARNING, "pocketface"):
        start = prepare_training(other).module.network.state_dict()
    assert "backbone, neck and first stage begin with its weights" in caplog.text
    assert "never learn" not in caplog.text
    end = read_weights(fit(other).latest).state_dict
    for name, tensor in weights.state_dict.items():
        kept = end[name.replace("head.", "head.first.")]
        assert torch.equal(kept, tensor), name  # the statistics of norms too
    second = [name for name in start if name.startswith("head.roi.")]
    assert len(second) == 6
    assert not any(torch.equal(start[name], end[name]) for name in second)


def test_levels_of_the_neck_move_where_the_second_stage_sees_finer_maps(
    settings: FitRequest, begun: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def finer(content: Content) -> None:
        _with_a_second_stage(content)
        content["architecture"]["backbone"]["finest"] = 4
        content["architecture"]["neck"]["levels"] += 1
        content["architecture"]["head"]["finer"] = 1
        moved = [f"neck.{part}.{level}" for part in ("laterals", "smooth") for level in (1, 2, 3)]
        content["hyper_parameters"]["frozen"] = ["backbone", *moved, "head.first"]

    weights = read_weights(begun)
    other = replace(with_template(settings, finer), load_weights=weights)
    with caplog.at_level(logging.WARNING, "pocketface"):
        end = read_weights(fit(replace(other, output=tmp_path / "other", epochs=1)).latest)
    assert "backbone, neck and first stage begin with its weights" in caplog.text
    assert "never learn" not in caplog.text
    for name, tensor in weights.state_dict.items():
        name = name.replace("head.", "head.first.")
        for part in ("laterals", "smooth"):
            for level in (2, 1, 0):
                name = name.replace(f"neck.{part}.{level}.", f"neck.{part}.{level + 1}.")
        assert torch.equal(end.state_dict[name], tensor), name
    # And with all of its levels they are begun with again, where only the look is another.
    again = replace(with_template(settings, _other_look), load_weights=end)
    begins = prepare_training(replace(again, output=tmp_path / "again")).module.network.state_dict()
    kept = [name for name in begins if name.startswith(("neck.", "head.first."))]
    assert len(kept) > 30
    assert all(torch.equal(begins[name], end.state_dict[name]) for name in kept)


def test_a_neck_of_all_levels_is_a_body_whichever_of_them_the_first_stage_sees(
    tmp_path: Path,
) -> None:
    def with_head(head: Content) -> str:
        content = yaml.safe_load(TEMPLATE)
        content["architecture"]["backbone"]["finest"] = 4
        content["architecture"]["neck"]["levels"] += 1
        content["architecture"]["head"] = head
        return yaml.safe_dump(content)

    dense = yaml.safe_load(TEMPLATE)["architecture"]["head"]
    second = yaml.safe_load(HEADS["probabilistic_two_stage"])["head"] | {"finer": 1}
    all_levels = dense | {"strides": [4, *dense["strides"]]}
    weights = read_weights(write_tiny_weights(tmp_path, with_head(all_levels)))
    architecture = parse_template(with_head(second), source="test").architecture
    assert gives_a_body(weights, architecture)
    necks = [name for name in body_of(weights, architecture) if name.startswith("neck.")]
    assert necks == [name for name in weights.state_dict if name.startswith("neck.")]


def _other_look(content: Content) -> None:
    content["architecture"]["head"]["roi"]["fc"] = [16]


def test_a_frozen_part_that_the_weights_lack_is_told_of(
    settings: FitRequest, begun: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def other(content: Content) -> None:
        _with_a_second_stage(content)
        content["architecture"]["head"]["first"]["channels"] = 8
        content["hyper_parameters"]["frozen"] = ["backbone", "neck", "head.first"]

    asked = replace(with_template(settings, other), load_weights=read_weights(begun))
    prepare_training(replace(asked, output=settings.output / "other"))
    assert "backbone and neck begin with its weights, the head with random" in caplog.text
    # Of each of three levels: a convolution, its norm of two, and three predictions of two.
    assert "tiny: 27 of its tensors never learn" in caplog.text


def test_a_training_that_goes_on_with_other_frozen_parts_says_so(
    settings: FitRequest, caplog: pytest.LogCaptureFixture
) -> None:
    latest = fit(replace(settings, epochs=1)).latest

    def frozen(content: Content) -> None:
        content["hyper_parameters"]["frozen"] = ["backbone"]

    asked = replace(with_template(settings, frozen), resume_from=latest, epochs=2)
    fit(asked)
    assert "other frozen than before" in caplog.text


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (["backbone", "head.body"], "no part 'head.body' that learns: expected some of backbone, "),
        (["normalize"], "no part 'normalize' that learns: expected some of backbone, backbone.ste"),
        (["backbone", "neck", "head"], "nothing is left that learns"),
    ],
)
def test_parts_that_cannot_be_frozen(settings: FitRequest, frozen: list[str], message: str) -> None:
    def change(content: Content) -> None:
        content["hyper_parameters"]["frozen"] = frozen

    asked = with_template(settings, change)
    unread = replace(asked.train, files=[settings.output / "none.json"])
    asked = replace(asked, train=unread)
    with pytest.raises(UserError, match=f"^hyper_parameters.frozen.*{message}"):
        prepare_training(asked)


def test_another_backbone_is_refused(settings: FitRequest, begun: Path) -> None:
    def narrow(content: Content) -> None:
        _two_stages(content)
        content["architecture"]["backbone"]["stem_channels"] = 4

    other = with_template(settings, narrow)
    with pytest.raises(UserError, match="made for the architecture of tiny"):
        fit(replace(other, load_weights=read_weights(begun), output=settings.output / "other"))


@pytest.mark.parametrize(
    ("stages", "frozen", "warned"),
    [(1, [], True), (0, ["backbone.stem"], True), (0, [], False)],
)
def test_random_layers_that_never_learn_are_told_of(
    settings: FitRequest,
    caplog: pytest.LogCaptureFixture,
    stages: int,
    frozen: list[str],
    warned: bool,
) -> None:
    def resnet(content: Content) -> None:
        backbone = {"type": "resnet", "depth": 50, "finest": 8, "frozen_stages": stages}
        content["architecture"]["backbone"] = backbone
        content["architecture"]["neck"] = {"type": "fpn", "channels": 16, "levels": 3}
        content["hyper_parameters"]["frozen"] = frozen

    prepare_training(with_template(settings, resnet))
    assert ("3 of its tensors never learn" in caplog.text) is warned
