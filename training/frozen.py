"""Parts of a network that do not learn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..errors import UserError
from ..model_templates.architecture import ArchitectureSpec
from ..models.network import blank_network

_KEY = "hyper_parameters.frozen"


def check_frozen(architecture: ArchitectureSpec, names: Sequence[str]) -> None:
    """Check names of parts before anything is read; see `freeze`."""
    if names:
        with torch.device("meta"):
            freeze(blank_network(architecture), names)


def freeze(network: nn.Module, names: Sequence[str]) -> None:
    """Take parts out of the training.

    Args:
        network: The network.
        names: Names of its parts, as `backbone` or `head.first`.

    Raises:
        UserError: It has no such part, or none that learns; or nothing is left that does.
    """
    for name in names:
        try:
            part = network.get_submodule(name)
        except AttributeError:
            part = nn.Module()
        if not _learns(part):
            known = ", ".join(_parts(network))
            raise UserError(f"{_KEY}: no part {name!r} that learns: expected some of {known}")
        part.requires_grad_(False)
    if names and not any(one.requires_grad for one in network.parameters()):
        raise UserError(f"{_KEY} {list(names)}: nothing is left that learns")


def keep_still(network: nn.Module, names: Sequence[str]) -> None:
    """Keep the statistics of frozen parts while the rest is in training mode."""
    for name in names:
        network.get_submodule(name).eval()


def _parts(network: nn.Module) -> list[str]:
    """Names of the parts that have parameters, and of theirs."""
    return [
        name
        for name, part in network.named_modules()
        if name and name.count(".") < 2 and _learns(part)
    ]


def _learns(part: nn.Module) -> bool:
    return any(True for _ in part.parameters())
