"""Parts of a network that do not learn."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..errors import UserError

_KEY = "hyper_parameters.frozen"


def freeze(network: nn.Module, names: Sequence[str]) -> None:
    """Take parts out of the training.

    Args:
        network: The network.
        names: Names of its parts, as `backbone` or `head.first`.

    Raises:
        UserError: It has no such part; or nothing is left that learns.
    """
    for name in names:
        try:
            part = network.get_submodule(name)
        except AttributeError:
            known = ", ".join(_parts(network))
            raise UserError(f"{_KEY}: no part {name!r}: expected some of {known}") from None
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
        if name and name.count(".") < 2 and any(True for _ in part.parameters())
    ]
