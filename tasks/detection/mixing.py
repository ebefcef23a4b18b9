"""Training samples from several photos: mosaics, and faces pasted into another photo."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .crops import Scene, flip

_MOST = 4
"""Most faces pasted into a sample."""
_MARGIN = 0.25
"""Margin pasted on each side of a face, as a share of its sides."""
_SHARE = 0.4
"""Largest side of a pasted face, as a share of the sample's side."""
_TRIES = 8


def mosaic(quarters: Sequence[Scene]) -> Scene:
    """Combine four samples into one (Bochkovskiy et al. 2020), row by row."""
    height, width = quarters[0].image.shape[:2]
    rows = [np.concatenate([one.image for one in quarters[i : i + 2]], axis=1) for i in (0, 2)]
    shifts = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float32)
    together = list(zip(quarters, shifts, strict=True))
    return Scene(
        np.concatenate(rows),
        np.concatenate([one.boxes + np.tile(shift, 2) for one, shift in together]),
        np.concatenate([one.landmarks + shift for one, shift in together]),
        np.concatenate([one.ignore for one in quarters]),
    )


def paste_faces(sample: Scene, donor: Scene, *, smallest: float, rng: np.random.Generator) -> Scene:
    """Paste up to four faces of another photo where the sample has none (Kisantal et al. 2019).

    Each face is cut out with a margin, mirrored by chance, shrunk to a side drawn evenly on a
    logarithmic scale, and faded in over its margin. Faces are never enlarged, and none covers
    another or an ignored region. Faces with another one in their margin are not taken, as part of
    that one would be pasted as background.

    Args:
        sample: The sample, which is not changed.
        donor: The photo that the faces come from, whole.
        smallest: Smallest side of a pasted face, in pixels of the sample.
        rng: Source of all randomness.
    """
    sizes = donor.boxes[:, 2:] - donor.boxes[:, :2]
    sides = sizes.max(1, initial=0)
    fit = ~donor.ignore & (sides > smallest) & (sizes.min(1, initial=np.inf) >= 1)
    able = [index for index in np.flatnonzero(fit).tolist() if _is_alone(donor, index)]
    height, width = sample.image.shape[:2]
    largest = _SHARE * min(height, width)
    for index in rng.permutation(np.array(able, int))[: rng.integers(1, _MOST + 1)]:
        top = min(largest, float(sides[index]))
        if top <= smallest:
            continue
        side = float(np.exp(rng.uniform(np.log(smallest), np.log(top))))
        face = _cut_out(donor, index, side / float(sides[index]))
        if rng.random() < 0.5:
            face = flip(face)
        place = _free_place(sample, face, rng)
        if place is not None:
            sample = _faded_in(sample, face, place)
    return sample


def _surroundings(donor: Scene, index: int) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of a face with its margin, clipped to the photo, in whole pixels."""
    box = donor.boxes[index]
    margin = _MARGIN * np.tile(box[2:] - box[:2], 2) * [-1, -1, 1, 1]
    limit = np.tile(donor.image.shape[1::-1], 2)
    low_x, low_y, high_x, high_y = (box + margin).clip(0, limit).tolist()
    return math.floor(low_x), math.floor(low_y), math.ceil(high_x), math.ceil(high_y)


def _is_alone(donor: Scene, index: int) -> bool:
    """Whether no other labelled box reaches into the face's margin."""
    x1, y1, x2, y2 = _surroundings(donor, index)
    others = np.delete(donor.boxes, index, axis=0)
    apart = (others[:, :2] >= (x2, y2)) | (others[:, 2:] <= (x1, y1))
    return bool(apart.any(1).all())


def _cut_out(donor: Scene, index: int, scale: float) -> Scene:
    """One face with its margin, scaled."""
    box = donor.boxes[index]
    x1, y1, x2, y2 = _surroundings(donor, index)
    size = (max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale)))
    image = cv2.resize(donor.image[y1:y2, x1:x2], size, interpolation=cv2.INTER_AREA)
    done = np.array(size, np.float32) / np.array([x2 - x1, y2 - y1], np.float32)
    origin = np.array([x1, y1], np.float32)
    return Scene(
        np.asarray(image, np.uint8),
        (box[None] - np.tile(origin, 2)) * np.tile(done, 2),
        (donor.landmarks[index][None] - origin) * done,
        np.zeros(1, bool),
    )


def _free_place(sample: Scene, face: Scene, rng: np.random.Generator) -> NDArray[np.float32] | None:
    """Left and top of a place for the face that touches no box; None if none was found."""
    room = np.array(sample.image.shape[1::-1]) - face.image.shape[1::-1]
    if (room < 0).any():
        return None
    for _ in range(_TRIES):
        low = rng.integers(0, room + 1)
        high = low + face.image.shape[1::-1]
        apart = (sample.boxes[:, :2] >= high) | (sample.boxes[:, 2:] <= low)
        if apart.any(1).all():
            return low.astype(np.float32)
    return None


def _faded_in(sample: Scene, face: Scene, place: NDArray[np.float32]) -> Scene:
    height, width = face.image.shape[:2]
    left, top = place.astype(int).tolist()
    x1, y1, x2, y2 = face.boxes[0]
    # Opaque inside the face's box, fading to nothing at the edge of the margin.
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    fade_x = np.minimum(x / max(x1, 0.5), (width - x) / max(width - x2, 0.5)).clip(0, 1)
    fade_y = np.minimum(y / max(y1, 0.5), (height - y) / max(height - y2, 0.5)).clip(0, 1)
    alpha = (fade_y[:, None] * fade_x)[..., None]
    image = sample.image.copy()
    under = image[top : top + height, left : left + width]
    image[top : top + height, left : left + width] = (
        (alpha * face.image + (1 - alpha) * under).round().astype(np.uint8)
    )
    return Scene(
        image,
        np.concatenate((sample.boxes, face.boxes + np.tile(place, 2))).astype(np.float32),
        np.concatenate((sample.landmarks, face.landmarks + place)).astype(np.float32),
        np.concatenate((sample.ignore, face.ignore)),
    )
