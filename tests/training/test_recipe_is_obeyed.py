"""Each setting of a training reaches it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pocketface.models.dense_head import DensePredictions
from pocketface.models.network import Network
from pocketface.tasks.detection import learn
from pocketface.training import module as module_file
from pocketface.training.fit import fit
from pocketface.training.request import FitRequest

from ..small_training import with_template


class Stop(Exception):
    """Enough was seen."""


def first_step(
    settings: FitRequest, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> dict[str, Any]:
    """What a training's first step sees, which then ends it."""
    seen: dict[str, Any] = {}
    step = module_file.TemplateModule.training_step
    forward = Network.forward

    def looks(self: Any, batch: Any) -> Tensor:
        seen["clip"] = self.trainer.gradient_clip_val
        seen["workers"] = self.trainer.train_dataloader.num_workers
        seen["batch"] = batch[0].float()
        seen["weights"] = torch.cat([one.detach().flatten() for one in self.network.parameters()])
        return step(self, batch)

    def predicts(self: Any, images: Tensor, raw: bool = False) -> Any:
        seen["images"] = images
        return forward(self, images, raw)

    def loses(found: DensePredictions, *_: Any, **__: Any) -> Any:
        seen["dtype"] = found.class_logits.dtype
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(module_file.TemplateModule, "training_step", looks)
        patch.setattr(Network, "forward", predicts)
        patch.setitem(learn.LOSSES, "dense", loses)
        with pytest.raises(Stop):
            fit(replace(settings, epochs=1, **options))
    shutil.rmtree(settings.output)
    return seen


def test_precision_clip_workers_and_seed_reach_the_training(
    settings: FitRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = first_step(settings, monkeypatch)
    again = first_step(settings, monkeypatch)
    other = first_step(settings, monkeypatch, precision="bf16-mixed", seed=1, workers=1)
    assert usual["clip"] == settings.template.spec.hyper_parameters.optimizer.gradient_clip > 0
    assert (usual["dtype"], other["dtype"]) == (torch.float32, torch.bfloat16)
    assert (usual["workers"], other["workers"]) == (0, 1)
    for key in ("weights", "batch"):
        assert torch.equal(usual[key], again[key])
        assert not torch.equal(usual[key], other[key])


def test_photometric_distortion_can_be_done_without(
    settings: FitRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = first_step(settings, monkeypatch)
    assert not torch.equal(seen["images"], seen["batch"])
    settings = with_template(
        settings,
        lambda content: content["hyper_parameters"]["augmentation"].update(photometric=False),
    )
    seen = first_step(settings, monkeypatch)
    assert torch.equal(seen["images"], seen["batch"])
    settings = with_template(
        settings, lambda content: content["hyper_parameters"]["augmentation"].update(lights=1.0)
    )
    seen = first_step(settings, monkeypatch)
    assert not torch.equal(seen["images"], seen["batch"])
