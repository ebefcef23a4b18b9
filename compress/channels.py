"""Structured pruning: whole channels go, and the network is really smaller and faster.

NNCF has none for PyTorch any more. Channels that are added to each other go together; which go
is decided by the weights that make and read them, as in DepGraph (Fang et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from ..errors import UserError
from ..model_templates.architecture import (
    ArchitectureSpec,
    ClassesHeadSpec,
    DenseHeadSpec,
    FPNSpec,
    PlainSpec,
    ValidSpec,
)
from ..model_templates.schema import parse_template
from ..model_templates.strict_yaml import parse_yaml
from ..models.network import make_network
from ..models.weights import Weights, rewritten

MULTIPLE = 4
"""Channels come in fours: int8 kernels work on so many at once, or more."""

_EPSILON = 1e-5

Groups = dict[str, tuple[str | None, str | None]]
"""By module: the group of channels that it gives, and of those that it takes; None: untouched."""


def pruned(weights: Weights, ratio: float, path: Path) -> Weights:
    """Weights of a narrower network: those of the channels that matter most.

    Args:
        weights: Of a `plain` backbone with `dense` or `classes` head, or of a `valid` one.
        ratio: Share of the channels of every layer to go, between 0 and 1.
        path: Where to.

    Returns:
        The new weights, whose template has the new architecture.

    Raises:
        UserError: The architecture is another, or there is nothing to go.
    """
    template = weights.template
    groups = _groups(template.architecture, name=template.name)
    content = parse_yaml(weights.template_text, source=str(path))
    content["architecture"] = _narrowed(template.architecture, ratio).model_dump(
        mode="json", exclude_unset=True
    )
    content |= {"initial_weights": None, "metrics": [], "published": None}
    text = yaml.safe_dump(content, sort_keys=False)
    new = parse_template(text, source=f"{path}: template").architecture
    with torch.device("meta"):
        narrow = make_network(new).state_dict()
    kept = _kept(weights.state_dict, groups, narrow)
    if all(narrow[name].shape == value.shape for name, value in weights.state_dict.items()):
        raise UserError(f"pruning {ratio:g} of the channels of {template.name} leaves all of them")
    state = {
        name: _cut(value, groups.get(name.rpartition(".")[0], (None, None)), kept)
        for name, value in weights.state_dict.items()
    }
    return rewritten(path, weights, state, template_text=text)


def _narrowed(spec: ArchitectureSpec, ratio: float) -> ArchitectureSpec:
    def narrower(channels: int) -> int:
        return max(MULTIPLE, round(channels * (1 - ratio) / MULTIPLE) * MULTIPLE)

    backbone: Any
    if isinstance(spec.backbone, PlainSpec):
        stages = [
            stage.model_copy(update={"channels": narrower(stage.channels)})
            for stage in spec.backbone.stages
        ]
        stem = narrower(spec.backbone.stem_channels)
        backbone = spec.backbone.model_copy(update={"stem_channels": stem, "stages": stages})
    else:
        assert isinstance(spec.backbone, ValidSpec)
        channels = [narrower(one) for one in spec.backbone.channels]
        backbone = spec.backbone.model_copy(update={"channels": channels})
    neck, head = spec.neck, spec.head
    if isinstance(neck, FPNSpec):
        neck = neck.model_copy(update={"channels": narrower(neck.channels)})
    if isinstance(head, DenseHeadSpec):
        head = head.model_copy(update={"channels": narrower(head.channels)})
    elif isinstance(head, ClassesHeadSpec) and head.hidden is not None:
        head = head.model_copy(update={"hidden": narrower(head.hidden)})
    return spec.model_copy(update={"backbone": backbone, "neck": neck, "head": head})


def _groups(spec: ArchitectureSpec, *, name: str) -> Groups:
    groups: Groups = {}
    if isinstance(spec.backbone, PlainSpec):
        maps = _plain(spec.backbone, groups)
    elif isinstance(spec.backbone, ValidSpec):
        maps = _valid(spec.backbone, groups)
    else:
        raise UserError(
            f"pruning {name}: its backbone is {spec.backbone.type}; expected plain or valid"
        )
    if isinstance(spec.neck, FPNSpec):
        if spec.neck.context:
            raise UserError(f"pruning {name}: its neck has context; expected none")
        maps = _fpn(spec.neck, maps, groups)
    if isinstance(spec.head, DenseHeadSpec) and not spec.head.shared and spec.head.norm == "batch":
        _dense(spec.head, maps, groups)
    elif isinstance(spec.head, ClassesHeadSpec):
        _classes(spec.head, maps, groups)
    else:
        raise UserError(
            f"pruning {name}: expected a head of classes, or a dense one with towers of each level"
        )
    return groups


def _convolution(
    groups: Groups, prefix: str, gives: str | None, takes: str | None, *, separable: bool = False
) -> None:
    """Of `conv_norm_act`."""
    groups[f"{prefix}.0"] = (gives, takes)
    groups[f"{prefix}.1"] = (gives, None)
    if separable:
        groups[f"{prefix}.2"] = (gives, None)


def _plain(spec: PlainSpec, groups: Groups) -> list[str]:
    _convolution(groups, "backbone.stem", "stem", None)
    before = "stem"
    maps = []
    for index, stage in enumerate(spec.stages):
        prefix, name = f"backbone.stages.{index}", f"stage{index}"
        _convolution(groups, f"{prefix}.0", name, before)
        for block in range(1, stage.blocks + 1):
            inner = f"{name}.{block}"
            for conv, gives, takes in (("conv1", inner, name), ("conv2", name, inner)):
                place = f"{prefix}.{block}.{conv}"
                _convolution(groups, place, gives, takes, separable=spec.separable)
        before = name
        maps.append(name)
    return maps[1:]


def _valid(spec: ValidSpec, groups: Groups) -> list[str]:
    before: str | None = None
    for index in range(len(spec.channels)):
        name = f"valid{index}"
        groups[f"backbone.layers.{2 * index}"] = (name, before)
        before = name
    assert before is not None
    return [before]


def _fpn(spec: FPNSpec, maps: list[str], groups: Groups) -> list[str]:
    for index, source in enumerate(maps):
        _convolution(groups, f"neck.laterals.{index}", "neck", source)  # they are added up
        smooth = f"neck.smooth.{index}"
        _convolution(groups, smooth, f"level{index}", "neck", separable=spec.separable)
    for index in range(len(maps), spec.levels):
        place = index - len(maps)
        _convolution(groups, f"neck.extra.{place}", f"level{index}", f"level{index - 1}")
    return [f"level{index}" for index in range(spec.levels)]


def _dense(spec: DenseHeadSpec, maps: list[str], groups: Groups) -> None:
    for index, source in enumerate(maps):
        prefix = f"head.levels.{index}"
        before = source
        for step in range(spec.tower):
            name = f"tower{index}.{step}"
            place = f"{prefix}.class_tower.{step}"
            _convolution(groups, place, name, before, separable=spec.separable)
            before = name
        for answer in ("classes", "boxes", "centerness", "landmarks"):
            groups[f"{prefix}.{answer}"] = (None, before)


def _classes(spec: ClassesHeadSpec, maps: list[str], groups: Groups) -> None:
    last = maps[-1]
    if spec.hidden is None:
        groups["head.layers.1"] = (None, last)
        return
    groups["head.layers.0"] = ("hidden", last)
    groups["head.layers.3"] = (None, "hidden")


def _kept(
    state: Mapping[str, Tensor], groups: Groups, narrow: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """By group, the channels that stay, in order."""
    importance: dict[str, Tensor] = {}
    width: dict[str, int] = {}
    for module, (gives, takes) in groups.items():
        weight = state.get(f"{module}.weight")
        if weight is None or weight.ndim < 2:
            continue
        squares = _folded(state, module).square()
        for group, axis in ((gives, 0), (takes, 1)):
            if group is None:
                continue
            of_channel = squares.transpose(0, axis).flatten(1).sum(1)
            # Every layer has the same say.
            share = of_channel / of_channel.mean().clamp(min=1e-12)
            importance[group] = importance.get(group, torch.zeros_like(share)) + share
            width[group] = narrow[f"{module}.weight"].shape[axis]
    return {
        group: value.topk(width[group]).indices.sort().values for group, value in importance.items()
    }


def _folded(state: Mapping[str, Tensor], module: str) -> Tensor:
    """The weight with what the normalisation behind it makes of it."""
    weight = state[f"{module}.weight"]
    stem, _, place = module.rpartition(".")
    norm = f"{stem}.{int(place) + 1}" if place.isdigit() else ""
    if f"{norm}.running_var" not in state:
        return weight
    scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + _EPSILON).sqrt()
    return weight * scale.reshape(-1, *[1] * (weight.ndim - 1))


def _cut(
    value: Tensor, groups: tuple[str | None, str | None], kept: Mapping[str, Tensor]
) -> Tensor:
    for axis, group in enumerate(groups[: value.ndim]):
        if group is not None:
            value = value.index_select(axis, kept[group])
    return value.clone()
