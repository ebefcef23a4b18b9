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
    order = list(convolutions)
    before: set[str] = set()
    # Graphs come sorted, but do not promise it.
    changed = True
    while changed:
        changed = False
        for name in reversed(order):
            if name not in before and any(
                convolutions[reader] or reader in before for reader in readers[name]
            ):
                before.add(name)
                changed = True
    return [name for name in order if name not in before and not convolutions[name]]
