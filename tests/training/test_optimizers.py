"""What each optimizer does to which parameters."""

from __future__ import annotations

import pytest
import torch

from pocketface.model_templates.recipe import OptimizerSpec
from pocketface.models.network import Network, make_network
from pocketface.tasks.templates import open_template
from pocketface.training.optimizers import hidden_kernels, make_optimizer


def network_of(name: str) -> Network:
    torch.manual_seed(0)
    return make_network(open_template(name).spec.architecture)


def names_of(network: Network, chosen: list[torch.Tensor]) -> set[str]:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {names[id(parameter)] for parameter in chosen}


def test_hidden_kernels_of_our_own_line() -> None:
    network = network_of("face-detection-m")
    hidden = names_of(network, hidden_kernels(network))
    kernels = {name for name, p in network.named_parameters() if p.ndim == 4}
    apart = {"backbone.stem.0.weight"} | {
        f"head.levels.{level}.{part}.weight"
        for level in range(3)
        for part in ("classes", "boxes", "landmarks")
    }
    assert apart < kernels
    assert hidden == kernels - apart


def test_depthwise_kernels_are_none() -> None:
    network = network_of("face-detection-0200")
    assert len(hidden_kernels(network)) > 30
    assert all(kernel.shape[1] > 3 for kernel in hidden_kernels(network))


@pytest.mark.parametrize("kind", ["sgd", "adamw", "muon"])
def test_every_parameter_is_in_one_group(kind: str) -> None:
    network = network_of("face-detection-0200")
    settings = OptimizerSpec.model_validate({"type": kind, "weight_decay": 0.1})
    groups = make_optimizer(network, settings, rate=0.01, mask_rate=1.0).param_groups
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(map(id, network.parameters()))
    for group in groups:
        assert group["lr"] == (pytest.approx(0.03) if group.get("use_muon") else 0.01)
        plain = kind == "sgd" or group.get("use_muon")
        assert (group["momentum"] if plain else group["betas"][0]) == settings.momentum
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)


@pytest.mark.parametrize(("keys", "nesterov"), [({}, True), ({"nesterov": False}, False)])
def test_the_momentum_of_sgd_is_nesterovs_unless_told(
    keys: dict[str, bool], nesterov: bool
) -> None:
    network = make_network(open_template("glasses-n").spec.architecture)
    settings = OptimizerSpec.model_validate({"type": "sgd", **keys})
    optimizer = make_optimizer(network, settings, rate=0.01, mask_rate=1.0)
    assert {group["nesterov"] for group in optimizer.param_groups} == {nesterov}


def test_a_step_of_muon_is_orthogonal() -> None:
    network = network_of("face-detection-m")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    settings = OptimizerSpec(type="muon", weight_decay=0.0, muon_factor=2.0)
    optimizer = make_optimizer(network, settings, rate=0.01, mask_rate=1.0)
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    hidden = names_of(network, hidden_kernels(network))
    for name, parameter in network.named_parameters():
        step = (parameter.detach() - before[name]) / 0.01
        if name in hidden:
            matrix = step.flatten(1)
            values = torch.linalg.svdvals(matrix) / (2 * 0.2 * max(matrix.shape) ** 0.5)
            assert values.min() > 0.5, name
            assert values.max() < 1.5, name
        else:
            # Adam's first step is the rate, whatever the gradient's size.
            torch.testing.assert_close(step.abs(), torch.ones_like(step), atol=2e-2, rtol=0)


def test_muon_reckons_in_32_bits_on_processors() -> None:
    from pytorch_optimizer.optimizer.utils import zero_power_via_newton_schulz_5

    network = network_of("face-detection-m")
    settings = OptimizerSpec(type="muon", weight_decay=0.0)
    optimizer = make_optimizer(network, settings, rate=1.0, mask_rate=1.0)
    kernel = hidden_kernels(network)[0]
    before = kernel.detach().double()
    gradient = torch.randn_like(kernel)
    kernel.grad = gradient.clone()
    optimizer.step()
    step = (before - kernel.detach().double()).flatten(1)
    exact = zero_power_via_newton_schulz_5(
        gradient.double().flatten(1),
        weights=optimizer.param_groups[-1]["ns_coeffs"],
        dtype=torch.float64,
    )
    off = step / step.norm() - exact / exact.norm()
    assert off.norm() < 1e-4  # in 16 bits 1e-2
