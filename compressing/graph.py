"""Decide which nodes of a graph are quantized."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


def behind(convolutions: Mapping[str, bool], readers: Mapping[str, Sequence[str]]) -> list[str]:
    """The nodes that no convolution follows, except the last convolutions themselves.

    They decode boxes and scores and stay float: int8 would round coordinates to whole pixels or
    worse.

    Args:
        convolutions: For each node, whether it is a convolution.
        readers: For each node, the nodes that read its output.
    """
    before = _before(convolutions, readers)
    return [name for name, one in convolutions.items() if name not in before and not one]


def last(convolutions: Mapping[str, bool], readers: Mapping[str, Sequence[str]]) -> list[str]:
    """The convolutions that no other follows; see `behind`."""
    before = _before(convolutions, readers)
    return [name for name, one in convolutions.items() if name not in before and one]


def beside(
    convolutions: Mapping[str, bool],
    readers: Mapping[str, Sequence[str]],
    kept_float: Collection[str],
) -> list[str]:
    """The nodes without a quantized convolution next to them on at least one side.

    These are sums, resizing and the like before or behind convolutions that are all float, where
    rounding would only cost accuracy. With all convolutions float they are all nodes.

    Args:
        convolutions: For each node, whether it is a convolution.
        readers: For each node, the nodes that read its output.
        kept_float: The convolutions that are not quantized.
    """
    makers: dict[str, list[str]] = {name: [] for name in convolutions}
    for name, those in readers.items():
        for reader in those:
            makers[reader].append(name)
    found = []
    for name, is_convolution in convolutions.items():
        if not is_convolution:
            sides = (_next(name, edges, convolutions) for edges in (readers, makers))
            if any(side and side <= set(kept_float) for side in sides):
                found.append(name)
    return found


def _next(
    name: str, edges: Mapping[str, Sequence[str]], convolutions: Mapping[str, bool]
) -> set[str]:
    """The first convolutions on each path from a node."""
    found: set[str] = set()
    seen: set[str] = set()
    ahead = [*edges[name]]
    while ahead:
        one = ahead.pop()
        if convolutions[one]:
            found.add(one)
        elif one not in seen:
            seen.add(one)
            ahead += edges[one]
    return found


def _before(convolutions: Mapping[str, bool], readers: Mapping[str, Sequence[str]]) -> set[str]:
    """The nodes that some convolution follows."""
    before: set[str] = set()
    # Graphs are usually sorted, but nothing guarantees it.
    changed = True
    while changed:
        changed = False
        for name in reversed(list(convolutions)):
            if name not in before and any(
                convolutions[reader] or reader in before for reader in readers[name]
            ):
                before.add(name)
                changed = True
    return before
