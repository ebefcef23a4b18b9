"""Begin with trained parts of a network; the others are new."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from torch import Tensor

from ..model_templates.architecture import ArchitectureSpec
from ..model_templates.dense_heads import ProbabilisticTwoStageHeadSpec
from ..models.network import Network, make_network
from ..models.weights import Weights

_log = logging.getLogger(__name__)

_HEAD = "head."
_FIRST = "head.first."


def differs_in_head_alone(weights: Weights, architecture: ArchitectureSpec) -> bool:
    """Whether weights are of another network with the same backbone and neck."""
    had = weights.template.architecture
    if weights.hooks is not None or had.makes_same_network(architecture):
        return False
    return had.model_dump(exclude={"head"}) == architecture.model_dump(exclude={"head"})


def body_of(weights: Weights, architecture: ArchitectureSpec) -> dict[str, Tensor]:
    """The tensors of weights that a network with the same backbone and neck can begin with.

    If the weights' head is the first of its two stages, those of the head too.
    """
    had, head = weights.template.architecture.head, architecture.head
    first = ""
    if isinstance(head, ProbabilisticTwoStageHeadSpec):
        first = _FIRST if head.first.of_network() == had.of_network() else ""
    parts = {
        first + name.removeprefix(_HEAD) if name.startswith(_HEAD) else name: tensor
        for name, tensor in weights.state_dict.items()
        if first or not name.startswith(_HEAD)
    }
    kept, new = "backbone and neck", "the head"
    if first:
        kept, new = "backbone, neck and first stage", "the second stage"
    _log.warning(
        "%s: of %s, which has another head: %s begin with its weights, %s with random ones",
        weights.path,
        weights.template.name,
        kept,
        new,
    )
    return parts


def network_of_parts(tensors: Mapping[str, Tensor], architecture: ArchitectureSpec) -> Network:
    """A network with these tensors, and all that is not among them as in a new one."""
    network = make_network(architecture)
    network.load_state_dict(tensors, strict=False)
    return network
