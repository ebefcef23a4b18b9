"""What the schemas of all heads share."""

from __future__ import annotations

from typing import Any, ClassVar

from .spec import Spec


class HeadSpec(Spec):
    """What all heads say.

    Attributes:
        impossible_formats: Formats of `export.EXPORTERS` that cannot hold such a head, and why.
        ranked: Whether its boxes come in the order of scores, so that rounding may swap places.
        not_quantized_in_training: Why NNCF cannot quantize it during training; None if it can.
    """

    impossible_formats: ClassVar[dict[str, str]] = {}
    ranked: ClassVar[bool] = False
    not_quantized_in_training: ClassVar[str | None] = None

    def of_network(self) -> dict[str, Any]:
        """The keys that say which network it is; by those of losses no weight means another."""
        return self.model_dump(exclude=_OF_LOSSES)


_OF_LOSSES = {"loss", "anchor_scale", "positive_iou", "negative_ratio", "dropout"}
