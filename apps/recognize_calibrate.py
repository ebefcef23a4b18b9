"""Measure on photos of known people what a recogniser's cosines mean."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ..data.identities import IdentityPhoto
from ..data.read_ahead import decoded
from ..errors import DataError, ImageError
from ..evaluation.verification import all_pairs, tar_at_far
from ..tasks.recognition.model import FaceRecognizer
from ..tasks.recognition.rules import RecognitionRules
from ..tasks.recognition.settling import FALSE_MATCHES, RATES, rules_of
from .recognize_faces import MIN_EYES

_log = logging.getLogger(__name__)

_AT_ONCE = 32


@dataclass(frozen=True)
class Measured:
    """What cosines mean, and on what that was measured.

    Attributes:
        rules: For the contract.
        accepted: Share of pairs of one person that reach each of the thresholds.
        photos: Photos of known people that were compared.
        people: Their number.
        left_out: Photos without a known person or a face, too small, or unreadable.
        genuine: Number of pairs of one person.
        impostor: Number of pairs of two.
    """

    rules: RecognitionRules
    accepted: tuple[float, ...]
    photos: int
    people: int
    left_out: int
    genuine: int
    impostor: int


def measure_cosines(
    model: FaceRecognizer,
    photos: Sequence[IdentityPhoto],
    *,
    source: str,
    on_progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Compare all photos of known people with each other.

    Args:
        model: The recogniser.
        photos: Photos of people; see `data.identities.read_identities`.
        source: The list's name, for messages and for what the rules say of themselves.
        on_progress: Called with the number of photos done and the total.

    Raises:
        DataError: There are too few pairs of one person or of two, or the model does not tell them
            apart.
    """
    rows, names = [], []
    for embedding, person in embedded(model, photos, on_progress):
        rows.append(embedding)
        names.append(person)
    known = sorted(set(names))
    place = {name: number for number, name in enumerate(known)}
    people = np.array([place[name] for name in names], np.int64)
    embeddings = np.stack(rows) if rows else np.empty((0, model.size), np.float32)
    genuine, impostor = all_pairs(embeddings, people)
    rules = rules_of(genuine, impostor, measured_on=f"{len(rows)} photos of {len(known)} people")
    if not rules.thresholds:
        raise DataError(
            f"{source}: {int(impostor.sum()):,} pairs of two people: expected "
            f"{round(FALSE_MATCHES / RATES[0])} or more, as of 15 people"
        )
    shares = [tar_at_far(genuine, impostor, point.fmr) for point in rules.thresholds]
    return Measured(
        rules=rules,
        accepted=tuple(share for share in shares if share is not None),
        photos=len(rows),
        people=len(known),
        left_out=len(photos) - len(rows),
        genuine=int(genuine.sum()),
        impostor=int(impostor.sum()),
    )


def embedded(
    model: FaceRecognizer,
    photos: Sequence[IdentityPhoto],
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[NDArray[np.float32], str]]:
    """The embedding of each photo of a known person, and the person's name.

    Photos without a known person or a face, with one that is too small, and those that cannot be
    read are left out, the last with a warning.

    Args:
        model: The recogniser.
        photos: Photos of people.
        on_progress: Called with the number of photos done and the total.
    """
    faces = _cut(model, photos, on_progress)
    while some := list(islice(faces, _AT_ONCE)):
        found = model.embed([face for face, _ in some])
        for one, (_, person) in zip(found, some, strict=True):
            yield one.vector, person


def _cut(
    model: FaceRecognizer,
    photos: Sequence[IdentityPhoto],
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[NDArray[np.uint8], str]]:
    images = decoded(photo.path for photo in photos)
    for done, (photo, image) in enumerate(zip(photos, images, strict=True), 1):
        if on_progress is not None:
            on_progress(done, len(photos))
        if isinstance(image, ImageError):
            _log.warning("left out: %s", image)
            continue
        if photo.person is None or photo.landmarks is None:
            continue
        left, right = photo.landmarks[:2]
        if np.hypot(*(right - left)) >= MIN_EYES:
            yield model.cut(image, photo.landmarks[None])[0], photo.person
