"""A learner with parameters of its own: trained and kept with the network, but part of no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import pocketface
from pocketface.model_templates.schema import Template
from pocketface.models.network import Network
from pocketface.models.weights import build_network, read_weights
from pocketface.tasks.detection import learn
from pocketface.tasks.learning import Teacher
from pocketface.training.callbacks import Snapshots
from pocketface.training.fit import fit
from pocketface.training.request import FitRequest

from ..small_training import with_template

KEY = "learner.matrix"


class ClassMatrix(nn.Module):
    """As ArcFace's: a vector for each of ten photos, which the network's answers are told by."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(10, cells))

    def losses(
        self,
        network: Network,
        images: Tensor,
        targets: Any,
        *,
        seed: int,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        logits = network(images.float(), raw=True).class_logits
        answers = functional.linear(logits, self.matrix)
        return {"photo": functional.cross_entropy(answers, targets.image_ids - 1)}


@pytest.fixture
def learns_a_matrix(settings: FitRequest, monkeypatch: pytest.MonkeyPatch) -> FitRequest:
    def make(_: Template, __: Sequence[Any], *, teacher: Teacher | None) -> ClassMatrix:
        assert teacher is None
        return ClassMatrix(cells=8 * 8 + 4 * 4 + 2 * 2)

    monkeypatch.setattr(learn, "learner", make)
    return settings


def matrices(latest: Path) -> dict[str, Tensor]:
    """The averaged one, and the one that is trained on."""
    checkpoint = torch.load(latest, weights_only=True)
    return {part: checkpoint[part][KEY] for part in ("state_dict", "current_model_state")}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_they_are_trained_and_kept(learns_a_matrix: FitRequest, optimizer: str) -> None:
    settings = with_template(
        learns_a_matrix,
        lambda content: content["hyper_parameters"].update(optimizer={"type": optimizer}),
    )
    first = matrices(fit(replace(settings, epochs=1)).latest)
    latest = fit(replace(settings, epochs=2, resume_from=settings.output / "latest.pth")).latest
    for part, matrix in matrices(latest).items():
        assert matrix.shape == (10, 84)
        assert (matrix != first[part]).any(1).all()


def test_a_training_that_goes_on_has_them_as_they_were(
    learns_a_matrix: FitRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(replace(learns_a_matrix, output=tmp_path / "whole", epochs=2))
    save = Snapshots.on_train_epoch_end

    def save_and_stop(*given: Any) -> None:
        save(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Snapshots, "on_train_epoch_end", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            fit(replace(learns_a_matrix, epochs=2))
    latest = learns_a_matrix.output / "latest.pth"
    halfway = matrices(latest)
    resumed = fit(replace(learns_a_matrix, resume_from=latest))
    for part, matrix in matrices(resumed.latest).items():
        assert torch.equal(matrix, matrices(whole.latest)[part])
        assert not torch.equal(matrix, halfway[part])


def test_no_model_has_them(learns_a_matrix: FitRequest) -> None:
    latest = fit(replace(learns_a_matrix, epochs=1)).latest
    weights = read_weights(latest)
    assert not any("matrix" in name for name in weights.state_dict)
    assert weights.state_dict.keys() == build_network(weights).state_dict().keys()
    assert pocketface.load(latest).contract.outputs[0].name == "boxes"
