"""Same person, another one, or unsure: what a cosine says at a false match rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from ..tasks.recognition.model import FaceRecognizer

UNSURE = 10.0
"""How many times more often strangers may reach the cosine from which on an answer is unsure."""

MANY = 0.05
"""Share of strangers taken for somebody from which on a warning says so."""

_HIGHEST = 500.0
"""An exponent that does not overflow."""

Answer = Literal["yes", "unsure", "no"]
ANSWERS: tuple[Answer, ...] = ("yes", "unsure", "no")


@dataclass(frozen=True)
class Verdict:
    """What is said of two faces.

    Attributes:
        answer: Whether they are one person's.
        similarity: Their cosine, -1 to 1.
        probability: That they are one person's, 0 to 1; see `Judge`. None if the model was never
            calibrated, or a face is too small: what was measured is of larger ones.
        small: Whether a face is too small to tell.
    """

    answer: Answer
    similarity: float
    probability: float | None
    small: bool

    @property
    def rank(self) -> tuple[bool, float]:
        """Of several faces the largest is the one that counts: a sure one, else the most similar.

        So one that is too small comes before a sure one never, and before others only if it is
        more similar.
        """
        return self.answer == "yes", self.similarity


class Judge:
    """Judges cosines of a model's embeddings.

    Attributes:
        sure: The cosine from which on the answer is yes.
        unsure: The cosine from which on it is unsure.
        max_fmr: As it was asked for.
        people: Likewise.
        faces: Likewise.

    Args:
        model: A recogniser whose thresholds were measured.
        max_fmr: Largest share of pairs of two people that may be called one person's.
        people: How many people a face is compared with. Beforehand it is as likely one of them,
            each as likely as the others, as none.
        faces: How many faces these people have in all; None for one each.

    Raises:
        UserError: They were never measured, or not for so small a rate.
    """

    def __init__(
        self, model: FaceRecognizer, max_fmr: float, *, people: int = 1, faces: int | None = None
    ) -> None:
        self.model = model
        self.max_fmr = max_fmr
        self.people = people
        self.faces = people if faces is None else faces
        self.sure = model.threshold(max_fmr=max_fmr)
        largest = model.rules.thresholds[0].fmr
        # Nothing is known beyond the largest rate that was measured.
        self.unsure = min(
            self.sure, model.threshold(max_fmr=max(max_fmr, min(UNSURE * max_fmr, largest)))
        )

    def __call__(self, similarity: float, *, small: bool, others: ArrayLike = ()) -> Verdict:
        """The verdict on two faces.

        Args:
            similarity: Their cosine.
            small: Whether one of them is too small to say who it is.
            others: The highest cosine to each other person whom it may be instead.
        """
        answer: Answer = "no"
        if small or self.unsure <= similarity < self.sure:
            answer = "unsure"
        elif similarity >= self.sure:
            answer = "yes"
        chance = None if small else self._probability(similarity, others)
        return Verdict(answer, similarity, chance, small)

    def _probability(self, similarity: float, others: ArrayLike) -> float | None:
        """That it is this person, by Bayes' rule; None if the model was never calibrated."""
        curve = self.model.rules.calibration
        if curve is None:
            return None
        odds = curve.slope * np.append(similarity, others) + curve.offset
        against = np.append(odds[1:], math.log(self.people)) - odds[0]
        return float(1 / (1 + np.exp(np.minimum(against, _HIGHEST)).sum()))


def taken(max_fmr: float, faces: int) -> float:
    """Share of cases in which one of so many strangers' faces is taken for somebody's.

    Each errs by itself.
    """
    return 1 - (1 - max_fmr) ** faces


def advised_fmr(model: FaceRecognizer, wanted: float) -> tuple[float, bool]:
    """A false match rate to recommend, in one digit if it can be, and whether it is small enough.

    No rate below the smallest that was measured is recommended, as it would be refused.

    Args:
        model: A recogniser whose thresholds were measured.
        wanted: The largest rate that is small enough.
    """
    digit = 10.0 ** math.floor(math.log10(wanted))
    below = float(f"{math.floor(wanted / digit + 1e-9) * digit:.1g}")
    smallest = model.rules.thresholds[-1].fmr
    return max(below, smallest), wanted >= smallest
