"""Measure on photos of known people what a recogniser's cosines mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.identities import IdentityPhoto
from ..errors import DataError
from ..evaluation.verification import all_pairs, tar_at_far
from ..tasks.recognition.embeddings import embeddings_of
from ..tasks.recognition.model import FaceRecognizer
from ..tasks.recognition.rules import RecognitionRules
from ..tasks.recognition.settling import FALSE_MATCHES, RATES, rules_of
from .recognize_faces import MIN_EYES


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
    embeddings, names = embedded(model, photos, on_progress)
    known = sorted(set(names))
    place = {name: number for number, name in enumerate(known)}
    people = np.array([place[name] for name in names], np.int64)
    genuine, impostor = all_pairs(embeddings, people)
    try:
        measured_on = f"{len(names)} photos of {len(known)} people"
        rules = rules_of(genuine, impostor, measured_on=measured_on)
    except DataError as error:
        raise DataError(f"{source}: {error}", hint=error.hint) from error
    if not rules.thresholds:
        raise DataError(
            f"{source}: {int(impostor.sum()):,} pairs of two people: expected "
            f"{round(FALSE_MATCHES / RATES[0])} or more, as of 15 people"
        )
    shares = [tar_at_far(genuine, impostor, point.fmr) for point in rules.thresholds]
    return Measured(
        rules=rules,
        accepted=tuple(share for share in shares if share is not None),
        photos=len(names),
        people=len(known),
        left_out=len(photos) - len(names),
        genuine=int(genuine.sum()),
        impostor=int(impostor.sum()),
    )


def embedded(
    model: FaceRecognizer,
    photos: Sequence[IdentityPhoto],
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.float32], list[str]]:
    """Embeddings of photos of known people, (N, size), and the person of each.

    Photos without a known person or a face, with one that is too small, and those that cannot be
    read are left out, the last with a warning.

    Args:
        model: The recogniser.
        photos: Photos of people.
        on_progress: Called with the number of photos done and the total.

    Raises:
        DataError: More than half of the photos cannot be read.
    """
    usable = [photo for photo in photos if photo.person is not None and _eyes(photo) >= MIN_EYES]
    vectors = embeddings_of(model, usable, on_progress=on_progress)
    there = np.isfinite(vectors[:, 0])
    names = [photo.person or "" for photo, ok in zip(usable, there, strict=True) if ok]
    return vectors[there], names


def _eyes(photo: IdentityPhoto) -> float:
    """Pixels between the eyes; 0 where no face was found."""
    if photo.landmarks is None:
        return 0.0
    left, right = photo.landmarks[:2]
    return float(np.hypot(*(right - left)))
