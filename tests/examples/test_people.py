"""JavaScript, Kotlin and Swift cut faces for a recogniser, and judge embeddings, as Python does."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface import Embedding, FaceRecognizer
from pocketface.apps.recognize_faces import MIN_EYES
from pocketface.apps.recognize_verdict import ANSWERS, Judge
from pocketface.data.align import align_face
from pocketface.errors import UserError
from pocketface.model_templates.contract import Contract
from pocketface.runtimes.session import Session

from .answers import LANGUAGES, Answers

ORDER = ("no", "unsure", "yes")
"""Of the numbers that the drivers give; -1 where nothing can be said."""

POINTS = np.array([[0.34, 0.46], [0.66, 0.46], [0.5, 0.64], [0.37, 0.82], [0.63, 0.82]], np.float32)


@dataclass(frozen=True, eq=False)
class Case:
    """A face in a photo, two vectors, and what cosines mean."""

    photo: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    side: int
    vectors: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    """(points, 2): false match rate and cosine."""
    curve: NDArray[np.float32] | None
    max_fmr: float

    @property
    def points(self) -> NDArray[np.float32]:
        return POINTS * np.float32(self.side)

    def packed(self) -> bytes:
        """As the drivers read it."""
        height, width = self.photo.shape[:2]
        curve = np.zeros(2, np.float32) if self.curve is None else self.curve
        return b"".join(
            (
                struct.pack("<4i", width, height, self.side, self.side),
                self.landmarks.tobytes() + self.points.tobytes(),
                cv2.cvtColor(self.photo, cv2.COLOR_BGR2RGBA).tobytes(),
                struct.pack("<i", self.vectors.shape[1]) + self.vectors.tobytes(),
                struct.pack("<i", len(self.thresholds)) + self.thresholds.tobytes(),
                struct.pack("<i", self.curve is not None) + curve.tobytes(),
                struct.pack("<f", self.max_fmr),
            )
        )

    @property
    def recognizer(self) -> FaceRecognizer:
        """With these rules; it cannot run."""
        rules: dict[str, Any] = {
            "thresholds": [{"fmr": float(f), "cosine": float(c)} for f, c in self.thresholds]
        }
        if self.curve is not None:
            slope, offset = self.curve
            rules["calibration"] = {"slope": float(slope), "offset": float(offset)}
        size = self.vectors.shape[1]
        contract = Contract.model_validate(
            {
                "name": "case",
                "task": "face-recognition",
                "input": {
                    "shape": (1, 3, self.side, self.side),
                    "resize": "align",
                    "points": tuple(map(tuple, self.points.tolist())),
                },
                "outputs": ({"name": "embedding", "shape": (1, size), "meaning": "", "unit": ""},),
                "rules": rules,
                "provenance": {"template": "case", "package_version": "0"},
            }
        )
        session = Session("none", "cpu", None, {}, {}, lambda _: {})
        return FaceRecognizer(contract=contract, session=session, path=Path("none"))

    def expected(self) -> tuple[NDArray[np.uint8], float, float | None, str | None]:
        """The cut face, the cosine, the probability and the answer."""
        model = self.recognizer
        units = self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)
        cosine = Embedding(units[0]).similarity(Embedding(units[1]))
        left, right = self.landmarks[:2]
        small = bool(np.hypot(*(right - left)) < MIN_EYES)
        answer: str | None = None
        try:
            judge = Judge(model, float(np.float32(self.max_fmr)))
        except UserError:
            pass
        else:
            answer = judge(cosine, small=small).answer
        face = align_face(self.photo, self.landmarks, model.contract.input)
        return face, cosine, None if small else model.probability(cosine), answer


def case(seed: int) -> Case:
    """Faces turned, large and small, in and beyond the photo; alike and not."""
    random = np.random.default_rng(seed)
    height, width = (int(size) for size in random.integers(30, 260, 2))
    photo = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), 1.5), np.uint8)
    side = 16 * int(random.integers(1, 8))
    turn, scale = random.uniform(-3, 3), random.uniform(0.1, 4)
    turned = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = POINTS * side
    landmarks = (points - points.mean(0)) @ turned.T + random.uniform(0, 1.1, 2) * (width, height)
    landmarks += random.normal(0, scale, (5, 2))
    count = int(random.integers(0, 8))
    rates = np.sort(10 ** random.uniform(-6, -0.1, count))[::-1]
    cosines = np.sort(random.uniform(0.1, 0.9, count))
    max_fmr = float(10 ** random.uniform(-3, -0.5))
    wanted = random.uniform(-0.5, 1)
    if count and seed % 4:  # near to where answers change
        near = np.log(max_fmr * random.uniform(0.5, 15))
        wanted = np.interp(near, np.log(rates[::-1]), cosines[::-1]) + random.choice([-2e-3, 2e-3])
    one, across = random.normal(size=(2, int(random.integers(2, 300))))
    one /= np.linalg.norm(one)
    across -= (across @ one) * one
    other = wanted * one + np.sqrt(1 - wanted**2) * across / np.linalg.norm(across)
    return Case(
        photo=photo,
        landmarks=landmarks.astype(np.float32),
        side=side,
        vectors=np.float32([3 * one, 2 * other]),
        thresholds=np.stack([rates, cosines], axis=1).astype(np.float32),
        curve=np.float32([random.uniform(1, 30), random.uniform(-10, 1)]) if seed % 3 else None,
        max_fmr=max_fmr,
    )


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [case(seed) for seed in range(60)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_faces_and_answers(
    language: str, cases: list[Case], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    driver = request.getfixturevalue(language)
    stream = Answers(language, driver, "people", cases, tmp_path)
    answers: Counter[str | None] = Counter()
    for one in cases:
        face, cosine, probability, answer = one.expected()
        side = one.side
        off = np.abs(stream.picture(side, side) - face)
        assert off.max() <= 1
        assert (off > 0).mean() < 0.01
        similarity, chance = stream.take(2, "<f4").tolist()
        assert similarity == pytest.approx(cosine, abs=1e-6)
        assert chance == pytest.approx(-1 if probability is None else probability, abs=1e-5)
        (number,) = stream.take(1, "<i4").tolist()
        assert number == (-1 if answer is None else ORDER.index(answer))
        answers[answer] += 1
    stream.check_end()
    assert set(ORDER) == set(ANSWERS)
    assert min(answers[one] for one in (*ORDER, None)) >= 4, answers
