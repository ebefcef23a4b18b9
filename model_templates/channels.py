"""Numbers of channels and layers, as every part of a network has them in a template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol, Self, runtime_checkable

from pydantic import Field

GROUPS = 16
"""The number of groups that a group normalisation splits the channels into."""

Channels = Annotated[int, Field(gt=0, le=4096)]
"""The number of channels of a layer.

Small networks have at most a tenth of the limit; layers of ten times the limit fit no memory.
"""

Layers = Annotated[int, Field(ge=0, le=64)]

Narrower = Callable[[int], int]
"""Tells how many channels a layer keeps of those it has."""


@runtime_checkable
class Narrowable(Protocol):
    """A part of an architecture whose channels are keys of its own."""

    def narrowed(self, narrower: Narrower) -> Self:
        """A copy in which each number of channels is what `narrower` makes of it."""
