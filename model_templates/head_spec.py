"""What the schemas of all heads share."""

from __future__ import annotations

from typing import ClassVar

from .spec import Spec


class HeadSpec(Spec):
    """What all heads say.

    Attributes:
        impossible_formats: Formats of `export.EXPORTERS` that cannot hold such a head, and why.
        ranked: Whether its boxes come in the order of scores, so that rounding may swap places.
    """

    impossible_formats: ClassVar[dict[str, str]] = {}
    ranked: ClassVar[bool] = False
