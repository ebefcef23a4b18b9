"""Common pre-processings of a photo for a network, right or wrong ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...data.preprocess import Placement, prepare
from ...errors import UserError
from ...model_templates.contract import Contract, InputSpec

Colour = Literal["bgr", "rgb"]
Range = Literal["0-255", "0-1", "-1-1", "imagenet"]
Resize = Literal["letterbox", "stretch"]

_RANGES: dict[Range, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "0-255": ((0.0,) * 3, (1.0,) * 3),
    "0-1": ((0.0,) * 3, (255.0,) * 3),
    "-1-1": ((127.5,) * 3, (127.5,) * 3),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
"""Mean and standard deviation of red, green and blue, on a scale of 0 to 255, by range."""


@dataclass(frozen=True)
class Preprocessing:
    """Colour order, range of values, and how a photo is brought to the input's size."""

    colour: Colour
    range: Range
    resize: Resize

    def __str__(self) -> str:
        return f"{self.colour},{self.range},{self.resize}"

    @classmethod
    def parse(cls, text: str) -> Preprocessing:
        """Parse the result of `str`, such as "rgb,0-1,letterbox".

        Raises:
            UserError: The text is not of this form.
        """
        for one in ALL_PREPROCESSINGS:
            if str(one) == text:
                return one
        wanted = ",".join("|".join(get_args(kind)) for kind in (Colour, Range, Resize))
        raise UserError(f"--declared {text!r}: expected {wanted}")

    @classmethod
    def of(cls, contract: Contract) -> Preprocessing:
        """The pre-processing for one of our files; mean and scale are inside its graph."""
        stretched = contract.input.resize == "stretch"
        return cls("bgr", "0-255", "stretch" if stretched else "letterbox")

    def apply(
        self, image: NDArray[np.uint8], *, height: int, width: int, pad_value: float = 0.0
    ) -> tuple[NDArray[np.float32], Placement]:
        """Bring a photo to a network's input.

        Args:
            image: uint8 (H, W, 3), BGR.
            height: Height of the input, in pixels.
            width: Width of the input, in pixels.
            pad_value: Value beside a letterboxed photo, 0 to 255.

        Returns:
            float32 (1, 3, height, width) in this colour order and range, and where the photo lies
            in it.
        """
        spec = InputSpec(shape=(1, 3, height, width), resize=self.resize, pad_value=pad_value)
        planes, placement = prepare(image, spec)
        if self.range != "0-255":
            mean, std = (
                np.array(of_rgb, np.float32)[::-1, None, None] for of_rgb in _RANGES[self.range]
            )
            planes -= mean
            planes /= std
        return (planes[:, ::-1] if self.colour == "rgb" else planes), placement


ALL_PREPROCESSINGS = tuple(
    Preprocessing(*parts) for parts in product(get_args(Colour), get_args(Range), get_args(Resize))
)
"""All sixteen combinations."""
