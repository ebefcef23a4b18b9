"""Weights whose norms were folded, as those of OpenVINO's files, are trained with live ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pocketface.data.coco import Photo
from pocketface.errors import ImageError
from pocketface.model_templates.backbones import ResNetSpec
from pocketface.model_templates.contract import Contract
from pocketface.models.layers import FrozenBatchNorm
from pocketface.models.network import make_network
from pocketface.models.unfolded import FOLDED_EPS, is_folded, unfold_norms
from pocketface.models.weights import build_network, read_weights, write_weights
from pocketface.tasks.detection import samples
from pocketface.tasks.templates import open_template
from pocketface.training.prepare import prepare_training
from pocketface.training.request import FitRequest


@pytest.fixture
def folded(settings: FitRequest, tmp_path: Path) -> Path:
    torch.manual_seed(2)
    network = make_network(settings.template.spec.architecture)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.fill_(1 - FOLDED_EPS)
        elif name.endswith("1.bias"):  # what was folded is a shift
            tensor.normal_(0, 0.3)
    path = tmp_path / "folded.pth"
    write_weights(
        path,
        template_text=settings.template.text,
        state_dict=network.state_dict(),
        epochs=1,
    )
    return path


def test_a_new_training_begins_with_statistics_of_its_photos(
    settings: FitRequest, folded: Path
) -> None:
    weights = read_weights(folded)
    made = prepare_training(replace(settings, load_weights=weights))
    network = made.module.network.eval()
    assert not is_folded(network)
    images = torch.rand(2, 3, 64, 96) * 255
    with torch.no_grad():
        for after, before in zip(network(images), build_network(weights)(images), strict=True):
            torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)


def test_a_damaged_photo_has_no_part_in_the_statistics(
    settings: FitRequest, folded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = samples.network_input
    seen: list[Path] = []

    def damaged(contract: Contract, sample: Photo) -> Any:
        seen.append(sample.path)
        if len(seen) == 2:
            raise ImageError("damaged")
        return whole(contract, sample)

    monkeypatch.setattr(samples, "network_input", damaged)
    made = prepare_training(replace(settings, load_weights=read_weights(folded)))
    assert len(seen) == len(set(seen)) > 2
    assert not is_folded(made.module.network)


@pytest.mark.parametrize(("norm", "factor"), [("frozen", 1.0), ("frozen", 0.2), ("batch", 0.2)])
def test_norms_with_factors_of_their_own_and_frozen_ones_are_not_folded(
    norm: str, factor: float
) -> None:
    """Detectron2's frozen norms begin with just these statistics, and keep them."""
    network = make_network(
        open_template("unet-resnet50").spec.architecture.model_copy(
            update={"backbone": ResNetSpec(type="resnet", depth=50, norm=norm, finest=2)}
        )
    )
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.fill_(1 - FOLDED_EPS)
    folded = [one for one in network.head.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    for one in network.backbone.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(one.weight, factor)
    assert len(folded) > 0
    # Those of the head are folded, and alone they would be.
    assert is_folded(network) == (norm == "frozen")
    unfold_norms(network.eval(), np.zeros((2, 3, 64, 64), np.float32))
    for one in network.backbone.modules():
        if isinstance(one, FrozenBatchNorm):
            assert (one.weight == factor).all()
            assert not one.running_mean.any()  # type: ignore[union-attr]


def test_fine_tuning_leaves_them_as_they_are(settings: FitRequest, folded: Path) -> None:
    made = prepare_training(replace(settings, resume_from=folded, epochs=2))
    assert made.start.fine_tunes
    assert is_folded(made.module.network)
