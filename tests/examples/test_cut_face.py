"""Swift cuts faces out as `pocketface.data.align` does."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.data.align import cut_face, similarity
from pocketface.model_templates import template_path
from pocketface.model_templates.contract import InputSpec
from pocketface.tasks.describe import contract_for
from pocketface.tasks.templates import open_template

from .answers import Answers, Driver


@dataclass(frozen=True, eq=False)
class Case:
    """A photo, a face in it, and the input that it is cut to."""

    photo: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    spec: InputSpec

    def packed(self) -> bytes:
        """As the driver reads it."""
        height, width = self.photo.shape[:2]
        pixels = cv2.cvtColor(self.photo, cv2.COLOR_BGR2RGBA)
        points = np.array(self.spec.points, np.float32)
        return b"".join(
            (
                struct.pack("<4i", width, height, self.spec.width, self.spec.height),
                self.landmarks.tobytes() + points.tobytes() + pixels.tobytes(),
            )
        )


def case(seed: int, spec: InputSpec) -> Case:
    """Upright and turned faces, in and beyond the photo, large and small."""
    random = np.random.default_rng(seed)
    height, width = (int(size) for size in random.integers(40, 500, 2))
    photo = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), 1.5), np.uint8)
    points = np.array(spec.points)
    turn, scale = random.uniform(-3, 3), random.uniform(0.1, 3)
    if seed == 0:
        turn, scale = 0.0, 1.0
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    place = random.uniform(-0.2, 1.2, 2) * (width, height)
    landmarks = (points - points.mean(0)) @ rotation.T + place + random.normal(0, scale, (5, 2))
    if seed == 1:
        landmarks[:] = 20.0
    return Case(photo, landmarks.astype(np.float32), spec)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    spec = contract_for(open_template(template_path("glasses-n")).spec).input
    return [case(seed, spec) for seed in range(30)]


def test_swift_cuts_the_same_faces(cases: list[Case], swift: Driver, tmp_path: Path) -> None:
    answers = Answers("swift", swift, "cut", cases, tmp_path)
    for one in cases:
        spec = one.spec
        assert spec.points is not None
        cut = answers.picture(spec.height, spec.width)
        expected = cut_face(one.photo, similarity(one.landmarks, np.float32(spec.points)), spec)
        off = np.abs(cut - expected)
        assert off.max() <= 1
        assert (off > 0).mean() < 0.01
    answers.check_end()
