"""Begin with trained parts of a network; the others are new."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from torch import Tensor

from ..model_templates.architecture import ArchitectureSpec
from ..model_templates.dense_heads import ProbabilisticTwoStageHeadSpec
from ..models.network import Network, make_network
from ..models.weights import Weights

_log = logging.getLogger(__name__)

_HEAD = "head."
_FIRST = "head.first."
_LEVEL = re.compile(r"^(neck\.(?:laterals|smooth|context)\.)(\d+)")


def gives_a_body(weights: Weights, architecture: ArchitectureSpec) -> bool:
    """Whether weights are of another network whose backbone and neck this one has.

    Of two stages, the second may see finer maps than those.
    """
    if weights.hooks is not None or weights.template.architecture.makes_same_network(architecture):
        return False
    return _added_levels(weights, architecture) is not None


def _added_levels(weights: Weights, architecture: ArchitectureSpec) -> int | None:
    """How many finer maps a network has beside those of the weights; None if all is different."""
    had = weights.template.architecture
    theirs, ours = (one.model_dump(exclude={"head"}) for one in (had, architecture))
    if theirs == ours:
        return 0
    added = _finer(architecture) - _finer(had)
    if added <= 0 or ours["neck"] is None or "finest" not in ours["backbone"]:
        return None
    ours["backbone"]["finest"] <<= added
    ours["neck"]["levels"] -= added
    return added if theirs == ours else None


def _finer(architecture: ArchitectureSpec) -> int:
    """How many maps the second of two stages alone sees."""
    head = architecture.head
    return head.finer if isinstance(head, ProbabilisticTwoStageHeadSpec) else 0


def body_of(weights: Weights, architecture: ArchitectureSpec) -> dict[str, Tensor]:
    """The tensors of weights that a network can begin with (see `gives_a_body`).

    If the weights' head, or the first of its two stages, is the first of the network's two, that
    too.
    """
    had, head = weights.template.architecture.head, architecture.head
    first = None
    if isinstance(head, ProbabilisticTwoStageHeadSpec):
        name, stage = _HEAD, had
        if isinstance(had, ProbabilisticTwoStageHeadSpec):
            name, stage = _FIRST, had.first
        first = name if stage.of_network() == head.first.of_network() else None
    added = _added_levels(weights, architecture) or 0
    parts = {}
    for name, tensor in weights.state_dict.items():
        if not name.startswith(_HEAD):
            moved = _LEVEL.sub(lambda found: f"{found[1]}{int(found[2]) + added}", name)
            parts[moved] = tensor
        elif first is not None and name.startswith(first):
            parts[_FIRST + name.removeprefix(first)] = tensor
    kept, new = "backbone and neck", "the head"
    if first is not None:
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
