"""A loaded model of any task and runtime."""

from __future__ import annotations

import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..cores import cores
from ..data.align import planes
from ..data.pixels import Colour, Image, describe, is_file, is_one, read_pixels
from ..data.read_ahead import read_ahead
from ..errors import ImageError, InputError, PocketfaceError
from ..model_templates.contract import Contract, InputSpec
from ..runtimes.session import Outputs, Session

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

    Several threads may use one. Pickled, it is its path and how it was opened: where it is
    unpickled, the file is opened again.

    Attributes:
        contract: The file's contract.
        session: The runtime's session.
        path: The file.
        again: Function that opens the file once more in the same way; None if `load` did not.
        WHAT: Name of this kind of model in messages.
    """

    WHAT: ClassVar[str]

    def __init__(self, *, contract: Contract, session: Session, path: Path) -> None:
        self.contract = contract
        self.session = session
        self.path = path
        self.again: Callable[[], Model[Any]] | None = None

    def __reduce__(self) -> tuple[Callable[[], Model[Any]], tuple[()]]:
        if self.again is None:
            raise TypeError(f"{self!r} cannot be pickled: `load` did not open it")
        return self.again, ()

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
            raise InputError(f"batch is {describe(batch)}: expected a float32 array")
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

    def probabilities(self, batch: NDArray[np.float32], output: str) -> NDArray[np.float32]:
        """Run the network, and take an output of probabilities.

        Args:
            batch: As `session.run` takes it.
            output: Name of the output.

        Raises:
            PocketfaceError: The probabilities are not finite.
        """
        shares = self.session.run(batch)[output]
        # NaN would silently be below every threshold.
        if not np.isfinite(shares).all():
            raise PocketfaceError(f"{self.path}: the network's probabilities are not finite")
        return shares


def rows_of(
    pictures: Sequence[NDArray[np.uint8]],
    infer: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    spec: InputSpec,
    *,
    batch_size: int,
    what: str,
) -> list[NDArray[np.float32]]:
    """What a network says of each of many pictures that are already cut for it.

    Args:
        pictures: uint8 (height, width, 3), BGR, of the input's size.
        infer: Function from float32 (B, 3, height, width) to (B, …).
        spec: The network's input.
        batch_size: Pictures that go through the network at once; ignored if its batch size is
            fixed: then the last batch is filled up with black ones.
        what: A picture's name in messages, as "a face".

    Raises:
        InputError: A picture has another type or size, or there is no sequence of them; or
            `batch_size` is below 1.
    """
    check_count("batch_size", batch_size)
    if not isinstance(pictures, Sequence | np.ndarray):
        raise InputError(f"{what} is {describe(pictures)}: expected a list of them")
    size = (spec.height, spec.width, 3)
    for picture in pictures:
        if not isinstance(picture, np.ndarray):
            raise InputError(f"{what} is {describe(picture)}: expected an array, uint8 {size}")
        if picture.shape != size or picture.dtype != np.uint8:
            raise InputError(f"{what} is {picture.dtype} {picture.shape}: expected uint8 {size}")
    step = batch_size if spec.batch == -1 else spec.batch
    rows: list[NDArray[np.float32]] = []
    for start in range(0, len(pictures), step):
        some = [*pictures[start : start + step]]
        filled = some + [np.zeros_like(some[0])] * (spec.batch - len(some))
        rows += [*infer(planes(filled))[: len(some)]]
    return rows


def fraction(name: str, value: float | None, own: float) -> float:
    """Check a number from 0 to 1 that a user gave; None gives the contract's own.

    Raises:
        InputError: The value is something else.
    """
    number = own if value is None else value
    try:
        inside = 0 <= number <= 1
    except (TypeError, ValueError):  # of a text, or an array
        inside = False
    if not inside:
        raise InputError(f"{name} is {value!r}: expected a number from 0 to 1")
    return float(number)


def check_count(name: str, value: int) -> None:
    """Check a whole number, 1 or more, that a user gave.

    Raises:
        InputError: The value is something else.
    """
    try:
        good = operator.index(value) >= 1
    except TypeError:
        good = False
    if not good:
        raise InputError(f"{name} {value!r}: expected a whole number, 1 or more")


def checked_landmarks(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Landmarks that a user gave, as an array (faces, 5, 2).

    Raises:
        InputError: They have another shape, are no numbers, or not finite.
    """
    try:
        points = np.asarray(landmarks)
    except ValueError:
        what = "are lists of several lengths"
    else:
        if points.ndim != 3 or points.shape[1:] != (5, 2):
            what = f"have shape {points.shape}"
        elif points.dtype.kind not in "fiu":
            what = f"are of {points.dtype.name}"
        elif not (finite := np.isfinite(points).all(axis=(1, 2))).all():
            what = f"of face {int(finite.argmin()) + 1} are not finite"
        else:
            return points
    raise InputError(
        f"landmarks {what}: expected (faces, 5, 2), all finite",
        hint="give `faces.landmarks` of a detector's answer",
    )


def pixels_of(
    images: Iterable[Image], *, ahead: int, colour: Colour = "BGR"
) -> Iterator[NDArray[np.uint8]]:
    """The pixels of images that a user gives, in order; files are decoded in threads.

    Args:
        images: See `read_pixels`.
        ahead: Number of files decoded ahead.
        colour: See `read_pixels`.

    Raises:
        InputError: `images` is a single image, or nothing to go through.
    """
    one = is_one(images)
    if one or not isinstance(images, Iterable):
        what = "one image" if one else describe(images)
        if isinstance(images, str | os.PathLike):
            what = repr(os.fspath(images))
        raise InputError(f"images is {what}: expected several photos, such as a list of them")
    threads = min(ahead, cores())
    read = partial(read_pixels, colour=colour)
    for is_slow, some in groupby(images, is_file):
        if not is_slow:  # a thread costs more than it saves, or must not touch it
            yield from map(read, some)
            continue
        for pixels in read_ahead(read, some, threads=threads, ahead=ahead):
            if isinstance(pixels, ImageError):
                raise pixels
            yield pixels
