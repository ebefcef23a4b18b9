"""Which part of a graph is quantized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def behind(convolutions: Mapping[str, bool], readers: Mapping[str, Sequence[str]]) -> list[str]:
    """The nodes from which no convolution follows, but for the last convolutions themselves.

    That is the decoding of boxes and scores: in int8 it would round coordinates to whole pixels and
    more. It stays float.

    Args:
        convolutions: Whether each node is one.
        readers: Of each node, those that read what it gives.
    """
    before = _before(convolutions, readers)
    return [name for name, one in convolutions.items() if name not in before and not one]


def last(convolutions: Mapping[str, bool], readers: Mapping[str, Sequence[str]]) -> list[str]:
    """The convolutions that no other follows; see `behind`."""
    before = _before(convolutions, readers)
    return [name for name, one in convolutions.items() if name not in before and one]


def _before(convolutions: Mapping[str, bool], readers: Mapping[str, Sequence[str]]) -> set[str]:
    """The nodes that a convolution follows."""
    before: set[str] = set()
    # Graphs come sorted, but do not promise it.
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
