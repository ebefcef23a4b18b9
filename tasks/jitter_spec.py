"""The schema of changes of light and colour."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..model_templates.spec import Fraction, Spec

Factor = Annotated[float, Field(ge=0, lt=1)]


class JitterSpec(Spec):
    """Random light and colour, as torchvision's ColorJitter has them.

    Args:
        chance: How often.
        brightness: Pixels are multiplied by 1 - brightness to 1 + brightness.
        contrast: The same for their distance from the picture's mean.
        saturation: The same for their distance from grey.
        hue: Colours are turned by up to so much of the whole circle, either way.
    """

    chance: Fraction
    brightness: Factor = 0.0
    contrast: Factor = 0.0
    saturation: Factor = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
