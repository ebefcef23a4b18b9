"""Training samples made of several photos: mosaics, and faces pasted from one into another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .crops import Sample, flip

_MOST = 4
"""Faces pasted at once."""
_MARGIN = 0.25
"""Of a face's sides, pasted with it on each side."""
_SHARE = 0.4
"""Of the sample's side: that of a pasted face, at most."""
_TRIES = 8


def mosaic(quarters: Sequence[Sample]) -> Sample:
    """Four samples as one (Bochkovskiy et al. 2020), row by row."""
    height, width = quarters[0].image.shape[:2]
    rows = [np.concatenate([one.image for one in quarters[i : i + 2]], axis=1) for i in (0, 2)]
    shifts = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float32)
    together = list(zip(quarters, shifts, strict=True))
    return Sample(
        np.concatenate(rows),
        np.concatenate([one.boxes + np.tile(shift, 2) for one, shift in together]),
        np.concatenate([one.landmarks + shift for one, shift in together]),
        np.concatenate([one.ignore for one in quarters]),
    )


def paste_faces(
    sample: Sample, donor: Sample, *, smallest: float, rng: np.random.Generator
) -> Sample:
    """Up to four faces of another photo where the sample has none, after Kisantal et al. (2019).

    Each is cut out with what is around it, mirrored or not, shrunk to a side drawn evenly on a
    logarithmic scale, and faded in over its margin. Faces are not enlarged, and none covers
    another or an ignored region. Those that have another one beside them are not taken: half of
    that would be pasted with them, as background.

    Args:
        sample: Is left as it is.
        donor: A whole photo.
        smallest: Side of a pasted face, in pixels of the sample.
        rng: All chance of it.
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


def _surroundings(donor: Sample, index: int) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of a face with its margin, as far as the photo reaches, in whole pixels."""
    box = donor.boxes[index]
    margin = _MARGIN * np.tile(box[2:] - box[:2], 2) * [-1, -1, 1, 1]
    limit = np.tile(donor.image.shape[1::-1], 2)
    low_x, low_y, high_x, high_y = (box + margin).clip(0, limit).tolist()
    return math.floor(low_x), math.floor(low_y), math.ceil(high_x), math.ceil(high_y)


def _is_alone(donor: Sample, index: int) -> bool:
    """Whether nothing else that is labelled reaches into its margin."""
    x1, y1, x2, y2 = _surroundings(donor, index)
    others = np.delete(donor.boxes, index, axis=0)
    apart = (others[:, :2] >= (x2, y2)) | (others[:, 2:] <= (x1, y1))
    return bool(apart.any(1).all())


def _cut_out(donor: Sample, index: int, scale: float) -> Sample:
    """One face with its margin."""
    box = donor.boxes[index]
    x1, y1, x2, y2 = _surroundings(donor, index)
    size = (max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale)))
    image = cv2.resize(donor.image[y1:y2, x1:x2], size, interpolation=cv2.INTER_AREA)
    done = np.array(size, np.float32) / np.array([x2 - x1, y2 - y1], np.float32)
    origin = np.array([x1, y1], np.float32)
    return Sample(
        np.asarray(image, np.uint8),
        (box[None] - np.tile(origin, 2)) * np.tile(done, 2),
        (donor.landmarks[index][None] - origin) * done,
        np.zeros(1, bool),
    )


def _free_place(
    sample: Sample, face: Sample, rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """Left and top of a place for it that touches no box, or None where none was found."""
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


def _faded_in(sample: Sample, face: Sample, place: NDArray[np.float32]) -> Sample:
    height, width = face.image.shape[:2]
    left, top = place.astype(int).tolist()
    x1, y1, x2, y2 = face.boxes[0]
    # Full inside the face's box, falling to nothing at the edge of what was cut out.
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    fade_x = np.minimum(x / max(x1, 0.5), (width - x) / max(width - x2, 0.5)).clip(0, 1)
    fade_y = np.minimum(y / max(y1, 0.5), (height - y) / max(height - y2, 0.5)).clip(0, 1)
    alpha = (fade_y[:, None] * fade_x)[..., None]
    image = sample.image.copy()
    under = image[top : top + height, left : left + width]
    image[top : top + height, left : left + width] = (
        (alpha * face.image + (1 - alpha) * under).round().astype(np.uint8)
    )
    return Sample(
        image,
        np.concatenate((sample.boxes, face.boxes + np.tile(place, 2))).astype(np.float32),
        np.concatenate((sample.landmarks, face.landmarks + place)).astype(np.float32),
        np.concatenate((sample.ignore, face.ignore)),
    )
