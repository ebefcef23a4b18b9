"""A loaded model of any task and runtime."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..data.images import read_image
from ..data.read_ahead import read_ahead
from ..errors import ImageError, InputError
from ..model_templates.contract import Contract
from ..runtimes.session import Outputs, Session

Image = NDArray[np.uint8] | str | os.PathLike[str]
"""uint8 (H, W, 3) BGR, or the path of an image file."""

Result = TypeVar("Result", covariant=True)


@dataclass(frozen=True)
class Steps:
    """Three steps from photos to answers, to be timed separately.

    Attributes:
        prepare: Function from photos, uint8 (H, W, 3) BGR, and for each the landmarks (5, 2) of
            a face if the model needs them, to the network's input and what `finish` needs.
        infer: Function that runs the network.
        finish: Function from the network's outputs to answers.
    """

    prepare: Callable[[Sequence[NDArray[np.uint8]], Sequence[Any]], tuple[Any, Any]]
    infer: Callable[[Any], Any]
    finish: Callable[[Any, Any], Any]


class Model(ABC, Generic[Result]):
    """A file that `load` opened; `Result` is its answer to a photo.

    Attributes:
        contract: The file's contract.
        session: The runtime's session.
        path: The file.
        WHAT: Name of this kind of model in messages.
    """

    WHAT: ClassVar[str]

    def __init__(self, *, contract: Contract, session: Session, path: Path) -> None:
        self.contract = contract
        self.session = session
        self.path = path

    def __repr__(self) -> str:
        height, width = self.contract.input.height, self.contract.input.width
        return (
            f"<Model {self.contract.name} {self.contract.precision} {height}x{width} "
            f"{self.session.runtime} {self.session.device}>"
        )

    @abstractmethod
    def predict(self, image: Image, *arguments: Any, **options: Any) -> Result:
        """The model's answer to a photo; the classes of the tasks define further arguments."""

    @abstractmethod
    def steps(self) -> Steps:
        """The steps of `predict`, with the contract's thresholds."""

    def raw(self, batch: NDArray[np.float32]) -> Outputs:
        """The graph's own outputs, as the contract names and describes them.

        Args:
            batch: float32 (B, 3, height, width) of the contract's size, 0-255, BGR planes, also
                if the graph's own layout differs.

        Raises:
            InputError: The batch has another type, shape or range, which runtimes themselves
                accept silently.
        """
        spec = self.contract.input
        if not isinstance(batch, np.ndarray) or batch.dtype != np.float32:
            raise InputError(f"batch is {_describe(batch)}: expected a float32 array")
        if (
            batch.ndim != 4
            or batch.shape[1:] != (3, spec.height, spec.width)
            or batch.shape[0] < 1
            or spec.batch not in (-1, batch.shape[0])
        ):
            size = "B" if spec.batch == -1 else spec.batch
            raise InputError(
                f"batch has shape {batch.shape}: expected ({size}, 3, {spec.height}, {spec.width})"
            )
        # This form also refuses NaN, for which no comparison holds.
        if not (batch.min() >= 0 and batch.max() <= 255):
            raise InputError("batch has values outside 0 to 255, or not finite")
        return self.session.run(np.ascontiguousarray(batch))


def fraction(name: str, value: float | None, own: float) -> float:
    """Check a number from 0 to 1 that a user gave; None gives the contract's own.

    Raises:
        InputError: The value is something else.
    """
    number = own if value is None else value
    try:
        inside = 0 <= number <= 1
    except TypeError:
        inside = False
    if not inside:
        raise InputError(f"{name} is {value!r}: expected a number from 0 to 1")
    return float(number)


def read_pixels(image: Image) -> NDArray[np.uint8]:
    """The pixels of an image that a user gives.

    Raises:
        InputError: The array is not such an image.
        ImageError: The file does not decode to a photo.
    """
    if isinstance(image, str | os.PathLike):
        return read_image(Path(image))
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise InputError(
            f"image is {_describe(image)}: expected a uint8 array (height, width, 3), BGR"
        )
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"image has shape {image.shape}: expected (height, width, 3), not empty")
    return np.ascontiguousarray(image)  # cv2 does not take negative strides


def pixels_of(images: Iterable[Image], *, ahead: int) -> Iterator[NDArray[np.uint8]]:
    """The pixels of images that a user gives, in order; files are decoded in threads.

    Args:
        images: See `read_pixels`.
        ahead: Number of files decoded ahead.

    Raises:
        InputError: `images` is a single file name.
    """
    if isinstance(images, str | os.PathLike):
        raise InputError(f"images is {os.fspath(images)!r}: expected several photos, not one path")
    threads = min(ahead, os.cpu_count() or 1)
    for is_array, some in groupby(images, lambda image: isinstance(image, np.ndarray)):
        if is_array:  # a thread costs more than it saves
            yield from map(read_pixels, some)
            continue
        for pixels in read_ahead(read_pixels, some, threads=threads, ahead=ahead):
            if isinstance(pixels, ImageError):
                raise pixels
            yield pixels


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return "None" if value is None else f"of type {type(value).__name__}"
