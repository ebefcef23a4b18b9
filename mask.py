"""A segmenter's answer for one face: which pixels of the photo are of which class.

Its JSON: docs/reference/results.md.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .results import checked_photo
from .run_lengths import from_run_lengths, run_lengths

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Mask:
    """The mask of one face, in pixels of the original image.

    Probabilities are kept for the part of the photo that the network saw; elsewhere nothing is of
    the face. Where several classes compete, the most probable one has the pixel; a single class
    has it from `threshold` on. "The mask" is that of the first class other than the background.

    Attributes:
        probabilities: float32 (classes, h, w), 0 to 1, of a rectangle of the photo.
        left: The photo's column where that rectangle begins.
        top: Its row.
        shape: Height and width of the photo.
        classes: Names of the classes; the first of several is the background, of
            pixels that are of none of the others.
        threshold: Lowest probability, 0 to 1, at which a pixel is of the only class.
    """

    probabilities: NDArray[np.float32]
    left: int
    top: int
    shape: tuple[int, int]
    classes: tuple[str, ...]
    threshold: float = 0.5

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        mine, its = ((m.left, m.top, m.shape, m.classes, m.threshold) for m in (self, other))
        return mine == its and np.array_equal(self.probabilities, other.probabilities)

    def __repr__(self) -> str:
        height, width = self.shape
        return f"Mask({self.name}, {self.area} pixels of {width}x{height})"

    @property
    def name(self) -> str:
        """The first class other than the background."""
        return self.named[0]

    @property
    def named(self) -> tuple[str, ...]:
        """The classes other than the background."""
        return self.classes if len(self.classes) == 1 else self.classes[1:]

    @property
    def place(self) -> tuple[slice, slice]:
        """The rows and columns of the photo that `probabilities` is of."""
        height, width = self.probabilities.shape[1:]
        return np.s_[self.top : self.top + height, self.left : self.left + width]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The pixels of the face, bool (H, W) as the photo."""
        return self.of(self.name)

    def of(self, name: str) -> NDArray[np.bool_]:
        """The pixels of a class, bool (H, W) as the photo.

        What the network did not see is background.

        Raises:
            InputError: There is no such class.
        """
        inside = self.inside(name)
        whole = np.full(self.shape, name not in self.named)
        whole[self.place] = inside
        return whole

    @property
    def probability(self) -> NDArray[np.float32]:
        """How probably each pixel is of the face, float32 (H, W) as the photo."""
        whole = np.zeros(self.shape, np.float32)
        whole[self.place] = self.probabilities[self._index(self.name)]
        return whole

    @property
    def area(self) -> int:
        """Number of pixels of the face."""
        return int(np.count_nonzero(self.inside(self.name)))

    @property
    def box(self) -> NDArray[np.float32] | None:
        """The rectangle around the face's pixels, float32 (4,): x1, y1, x2, y2; None if empty."""
        x, y, width, height = cv2.boundingRect(self.inside(self.name).astype(np.uint8))
        if width == 0 or height == 0:
            return None
        x, y = x + self.left, y + self.top
        return np.array([x, y, x + width, y + height], np.float32)

    def polygon(self) -> list[NDArray[np.float32]]:
        """The outlines of the face's parts, largest first.

        They run along the edges of the outermost pixels, but across corners that point inwards.
        Holes, such as those of glasses, are not left out: `mask` has them.

        Returns:
            For each part float32 (N, 2): x, y in pixels of the photo, the first not repeated.
        """
        inside = self.inside(self.name).astype(np.uint8)
        if not inside.any():
            return []
        # On a grid of half pixels whose even places are edges, a pixel is a block of 3 x 3, whose
        # outermost points are the pixel's edges. OpenCV's outlines run through points.
        height, width = inside.shape
        grid = np.zeros((2 * height + 1, 2 * width + 1), np.uint8)
        grid[1::2, 1::2] = inside
        grid = np.asarray(cv2.dilate(grid, np.ones((3, 3), np.uint8)), np.uint8)
        rings, _ = cv2.findContours(grid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        rings = sorted(rings, key=cv2.contourArea, reverse=True)
        corner = (self.left, self.top)
        return [(ring.reshape(-1, 2) / 2 + corner).astype(np.float32) for ring in rings]

    def cutout(self, image: Pixels) -> Pixels:
        """The face alone, with soft edges; what is transparent has no colour.

        Args:
            image: The photo, uint8 (H, W, 3), BGR. `read_pixels` gives a file's.

        Returns:
            uint8 (h, w, 4), BGRA: the part of the photo at `place`.

        Raises:
            InputError: It is no such array, or of another size than the photo.
        """
        photo = self._own(image)
        alpha = (self.softness() * 255).round().astype(np.uint8)
        colours = photo[self.place] * (alpha > 0)[:, :, None]
        return np.dstack([colours, alpha]).astype(np.uint8)

    def softness(self) -> NDArray[np.float32]:
        """How opaque each pixel of the face is, float32 (h, w) at `place`: 0.5 at its edge.

        Far from the edge it is 0 or 1, however sure the network is.
        """
        index = self._index(self.name)
        share = self.probabilities[index]
        if len(self.classes) == 1:
            low, high = self.threshold, 1 - self.threshold
            position = np.where(
                share < low, share / max(low, 1e-6), 1 + (share - low) / max(high, 1e-6)
            )
            position /= 2
        else:
            others = np.delete(self.probabilities, index, axis=0).max(axis=0)
            position = share / np.maximum(share + others, 1e-6)
        return np.asarray((2 * position - 0.5).clip(0, 1), np.float32)

    def draw(self, image: Pixels) -> Pixels:
        """A copy of the photo, uint8 (H, W, 3) BGR, with the classes in colours.

        Args:
            image: The photo, uint8 (H, W, 3), BGR; not changed. `read_pixels` gives a file's.

        Raises:
            InputError: It is no such array, or of another size than the photo.
        """
        from .drawing import draw_masks

        return draw_masks(self._own(image), [self])

    def _own(self, image: Pixels) -> Pixels:
        """The photo that the mask is of, checked."""
        photo = checked_photo(image)
        if photo.shape[:2] != self.shape:
            height, width = self.shape
            raise InputError(
                f"image is {photo.shape[1]}x{photo.shape[0]} (width x height): expected the photo "
                f"that the mask is of, {width}x{height}"
            )
        return photo

    def without(self, drop: NDArray[np.bool_]) -> Mask:
        """The mask without pixels that are of something else, bool (h, w) at `place`."""
        shares = self.probabilities * ~drop
        if len(self.classes) > 1:
            shares[0][drop] = 1
        return replace(self, probabilities=shares)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the pixels of each class, not the probabilities.

        `masks` has COCO's uncompressed RLE of the photo for each class but the background.
        """
        box = self.box
        height, width = self.probabilities.shape[1:]
        return {
            "classes": list(self.classes),
            "threshold": float(self.threshold),
            "area": self.area,
            "box": None if box is None else box.tolist(),
            "region": [self.left, self.top, self.left + width, self.top + height],
            "masks": {
                name: {
                    "size": list(self.shape),
                    "counts": run_lengths(
                        self.inside(name), left=self.left, top=self.top, shape=self.shape
                    ),
                }
                for name in self.named
            },
        }

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Mask:
        """Read what `to_dict` gives; its probabilities are 0 and 1.

        Raises:
            InputError: The content has another form.
        """
        try:
            classes = tuple(str(name) for name in content["classes"])
            left, top, right, bottom = (operator.index(number) for number in content["region"])
            planes: list[NDArray[np.float32]] = []
            shape = (0, 0)
            for name in classes if len(classes) == 1 else classes[1:]:
                record = content["masks"][name]
                height, width = (operator.index(number) for number in record["size"])
                if planes and shape != (height, width):
                    raise ValueError(f"sizes {shape} and {(height, width)} of one photo")
                shape = (height, width)
                whole = from_run_lengths(record["counts"], shape)
                planes.append(whole[top:bottom, left:right].astype(np.float32))
            if len(classes) > 1:
                planes.insert(0, 1 - np.max(planes, axis=0))
            probabilities = np.stack(planes)
            if probabilities.shape[1:] != (bottom - top, right - left) or min(left, top) < 0:
                raise ValueError(f"region {content['region']} is not in the photo {shape}")
            threshold = float(content["threshold"])
            if not 0 <= threshold <= 1:
                raise ValueError(f"threshold {threshold} is not from 0 to 1")
            if len(set(classes)) < len(classes):
                raise ValueError(f"classes {classes} are not all different")
            return cls(probabilities, left, top, shape, classes, threshold)
        except (KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
            raise InputError(f"not the form of Mask.to_dict: {error!r}") from error

    def inside(self, name: str) -> NDArray[np.bool_]:
        """The pixels of a class, bool (h, w) at `place`."""
        index = self._index(name)
        if len(self.classes) == 1:
            return np.asarray(self.probabilities[0] >= self.threshold)
        # As argmax has it, of equal ones the first; but many times as fast.
        mine = self.probabilities[index]
        inside = np.ones(mine.shape, np.bool_)
        for other, share in enumerate(self.probabilities):
            if other != index:
                inside &= mine > share if other < index else mine >= share
        return inside

    def _index(self, name: str) -> int:
        if name not in self.classes:
            raise InputError(f"no class {name!r}; there are: {', '.join(self.classes)}")
        return self.classes.index(name)
