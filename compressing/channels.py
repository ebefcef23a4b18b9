"""Structured pruning: whole channels go, so that the network is smaller and faster everywhere.

NNCF no longer has it for PyTorch. Channels that are added to each other go together. Which ones go
is decided by the weights that make and read them, as in DepGraph (Fang et al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from ..errors import UserError
from ..model_templates.schema import Template, parse_template
from ..model_templates.strict_yaml import parse_yaml
from ..models.fpn import FPN
from ..models.layers import ChannelGroups, Group, Prunable
from ..models.network import BACKBONES, HEADS, Network
from ..models.weights import Weights, rewritten
from ..tasks.templates import settled_text

MULTIPLE = 4
"""Layers keep a multiple of this: int8 kernels work on four channels or more at once."""

_EPSILON = 1e-5
"""What PyTorch's batch normalisation adds to the variance."""

_PARTS: dict[str, dict[str, Callable[..., Any]]] = {
    "backbone": BACKBONES,
    "neck": {"fpn": FPN},
    "head": {name: head.make for name, head in HEADS.items()},
}
"""The parts of a network in the order they run, and the class of each type of part."""

Groups = dict[str, tuple[Group | None, Group | None]]
"""`ChannelGroups`, with the layers' names in place of the layers."""


def pruned(weights: Weights, ratio: float, path: Path) -> Weights:
    """Write the weights of a narrower network, made of the channels that matter most.

    Args:
        weights: Weights of a network whose parts are all `Prunable`.
        ratio: The share of the channels of every layer that goes, between 0 and 1.
        path: The file to write.

    Returns:
        The new weights, whose template has the new architecture.

    Raises:
        UserError: A part of the network cannot be pruned, or no channel would go.
    """
    template = weights.template
    with torch.device("meta"):
        wide = Network(template.architecture)
    groups = channel_groups(wide, template)

    def narrower(channels: int) -> int:
        return max(MULTIPLE, round(channels * (1 - ratio) / MULTIPLE) * MULTIPLE)

    content = parse_yaml(weights.template_text, source=str(path))
    content["architecture"] = template.architecture.narrowed(narrower).model_dump(
        mode="json", exclude_unset=True
    )
    content |= {"initial_weights": None, "metrics": [], "published": None}
    text = settled_text(yaml.safe_dump(content, sort_keys=False), {})
    new = parse_template(text, source=f"{path}: template").architecture
    with torch.device("meta"):
        narrow = Network(new).state_dict()
    kept = _kept(weights.state_dict, groups, _norms(wide), narrow)
    if all(narrow[name].shape == value.shape for name, value in weights.state_dict.items()):
        raise UserError(f"pruning {ratio:g} of the channels of {template.name} leaves all of them")
    state = {
        name: _cut(value, groups.get(name.rpartition(".")[0], (None, None)), kept)
        for name, value in weights.state_dict.items()
    }
    return rewritten(path, weights, state, template_text=text)


def channel_groups(network: Network, template: Template) -> Groups:
    """Which channels of a network pruning keeps or drops together.

    Args:
        network: The template's network, which may be on the meta device.
        template: Named in error messages.

    Returns:
        For the name of each layer, the group it gives and the group it takes.

    Raises:
        UserError: A part of the network cannot be pruned.
    """
    groups: ChannelGroups = {}
    maps: Sequence[Group | None] = [None]
    for kind, makers in _PARTS.items():
        spec = getattr(template.architecture, kind)
        if spec is None:
            continue
        prunable = [key for key, make in makers.items() if hasattr(make, "mark_channels")]
        if spec.type not in prunable:
            raise UserError(
                f"pruning {template.name}: its {kind} is {spec.type}; "
                f"expected {' or '.join(prunable)}"
            )
        part: Prunable = getattr(network, kind)
        try:
            maps = part.mark_channels(groups, maps)
        except ValueError as error:
            raise UserError(f"pruning {template.name}: {error}") from error
    names = {module: name for name, module in network.named_modules()}
    return {names[layer]: both for layer, both in groups.items()}


def _norms(network: Network) -> dict[str, str]:
    """For the name of each layer, the name of the batch normalisation right behind it."""
    names = {module: name for name, module in network.named_modules()}
    return {
        names[layer]: names[behind]
        for layers in network.modules()
        if isinstance(layers, nn.Sequential)
        for layer, behind in pairwise(layers)
        if isinstance(behind, nn.BatchNorm2d)
    }


def _kept(
    state: Mapping[str, Tensor],
    groups: Groups,
    norms: Mapping[str, str],
    narrow: Mapping[str, Tensor],
) -> dict[Group, Tensor]:
    """For each group, the indices of the channels that stay, in ascending order."""
    importance: dict[Group, Tensor] = {}
    width: dict[Group, int] = {}
    for module, (gives, takes) in groups.items():
        weight = state.get(f"{module}.weight")
        if weight is None or weight.ndim < 2:
            continue
        squares = _folded(state, module, norms.get(module)).square()
        for group, axis in ((gives, 0), (takes, 1)):
            if group is None:
                continue
            of_channel = squares.transpose(0, axis).flatten(1).sum(1)
            # Divided by the mean, so that every layer counts the same.
            share = of_channel / of_channel.mean().clamp(min=1e-12)
            importance[group] = importance.get(group, torch.zeros_like(share)) + share
            width[group] = narrow[f"{module}.weight"].shape[axis]
    return {
        group: value.topk(width[group]).indices.sort().values for group, value in importance.items()
    }


def _folded(state: Mapping[str, Tensor], module: str, norm: str | None) -> Tensor:
    """The weight, multiplied by the factor of the normalisation behind it."""
    weight = state[f"{module}.weight"]
    if norm is None:
        return weight
    scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + _EPSILON).sqrt()
    return weight * scale.reshape(-1, *[1] * (weight.ndim - 1))


def _cut(
    value: Tensor, groups: tuple[Group | None, Group | None], kept: Mapping[Group, Tensor]
) -> Tensor:
    for axis, group in enumerate(groups[: value.ndim]):
        if group is not None:
            value = value.index_select(axis, kept[group])
    return value.clone()
