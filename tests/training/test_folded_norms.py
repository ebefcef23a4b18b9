"""Weights whose norms were folded, as those of OpenVINO's files, are trained with live ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pocketface.models.network import make_network
from pocketface.models.unfolded import FOLDED_EPS, is_folded
from pocketface.models.weights import build_network, read_weights, write_weights
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


def test_fine_tuning_leaves_them_as_they_are(settings: FitRequest, folded: Path) -> None:
    made = prepare_training(replace(settings, resume_from=folded, epochs=2))
    assert made.start.fine_tunes
    assert is_folded(made.module.network)
