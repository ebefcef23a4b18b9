"""Types of numbers of channels and layers in a template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol, Self, runtime_checkable

from pydantic import Field

GROUPS = 32
"""Number of groups into which group normalisation splits the channels, as in FCOS."""

Channels = Annotated[int, Field(gt=0, le=4096)]
"""The number of channels of a layer.

Small networks have at most a tenth of the limit; layers of ten times the limit fill any memory.
"""

Layers = Annotated[int, Field(ge=0, le=64)]

Narrower = Callable[[int], int]
"""Function from a layer's number of channels to the number that it keeps."""


@runtime_checkable
class Narrowable(Protocol):
    """A part of an architecture whose own keys state its numbers of channels."""

    def narrowed(self, narrower: Narrower) -> Self:
        """A copy with `narrower` applied to each number of channels."""
