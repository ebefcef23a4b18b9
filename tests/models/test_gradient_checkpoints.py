"""Stages whose maps are computed twice learn the same, and keep less in memory."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from pocketface.model_templates.backbones import PlainSpec, StageSpec
from pocketface.models.layers import Stages
from pocketface.models.plain import Plain


@pytest.fixture
def backbone() -> Stages:
    torch.manual_seed(0)
    stages = [StageSpec(channels=8, blocks=6), StageSpec(channels=8, blocks=6)]
    return Plain(PlainSpec(type="plain", stem_channels=8, stages=stages))


def step(backbone: Stages, *, twice: bool) -> tuple[Stages, int]:
    """The backbone after a step, with gradients, and the bytes that were kept for them."""
    backbone = copy.deepcopy(backbone).train()
    backbone.gradient_checkpoints = twice
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        maps = backbone(images)
    held = sum(kept.values())
    torch.stack([x.square().mean() for x in maps]).sum().backward()
    return backbone, held


def test_the_same_is_learnt_from_less_memory(backbone: Stages) -> None:
    (once, whole), (twice, less) = step(backbone, twice=False), step(backbone, twice=True)
    assert less < whole / 2
    for name, parameter in once.named_parameters():
        torch.testing.assert_close(twice.get_parameter(name).grad, parameter.grad, msg=name)
    # Statistics of normalisation count a batch once.
    for name, buffer in once.named_buffers():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(twice.get_buffer(name), buffer, msg=name)


def test_nothing_is_computed_twice_without_gradients(backbone: Stages) -> None:
    runs = []
    backbone.gradient_checkpoints = True
    backbone.stages[0].register_forward_hook(lambda *_: runs.append(1))
    images = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        backbone.train()(images)
    backbone.eval()(images)
    assert len(runs) == 2
