"""JavaScript, Kotlin and Swift prepare photos and find faces as pocketface does in Python.

The same cases go through all of them: odd sizes, both resize rules, scaling up and down, boxes that
tie, overlap, have no area or lie outside, and raw outputs of the shipped detector on real photos.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import pocketface
from pocketface.data.images import list_images, read_image
from pocketface.data.preprocess import prepare
from pocketface.model_templates.contract import InputSpec
from pocketface.results import Detections
from pocketface.tasks.detection.postprocess import find_faces

from .answers import LANGUAGES, Answers, Driver


@dataclass(frozen=True, eq=False)
class Case:
    """One photo and one set of raw outputs; what Python makes of them."""

    photo: NDArray[np.uint8]
    spec: InputSpec
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None
    threshold: float
    iou: float
    limit: int = 750

    def packed(self) -> bytes:
        """As the drivers read it."""
        height, width = self.photo.shape[:2]
        spec = self.spec
        pixels = cv2.cvtColor(self.photo, cv2.COLOR_BGR2RGBA)
        marks = b"" if self.landmarks is None else self.landmarks.tobytes()
        return b"".join(
            (
                struct.pack("<4i", width, height, spec.width, spec.height),
                struct.pack("<if", spec.resize == "letterbox", spec.pad_value),
                pixels.tobytes(),
                struct.pack("<3i", len(self.scores), self.landmarks is not None, self.limit),
                struct.pack("<2f", self.threshold, self.iou),
                self.boxes.tobytes() + self.scores.tobytes() + marks,
            )
        )

    def expected(self) -> tuple[NDArray[np.float32], Detections]:
        """Network input (3, H, W) and faces."""
        batch, placement = prepare(self.photo, self.spec)
        found = find_faces(
            self.boxes,
            self.scores,
            self.landmarks,
            placement=placement,
            score_threshold=self.threshold,
            nms_iou=self.iou,
            max_detections=self.limit,
        )
        return batch[0], found


def random_case(seed: int) -> Case:
    """Cases that no photo gives: ties, equal boxes, none, outside, without area, not finite."""
    random = np.random.default_rng(seed)
    height, width = (int(size) for size in random.integers(1, 700, 2))
    spec = InputSpec(
        shape=(1, 3, 32 * int(random.integers(1, 8)), 32 * int(random.integers(1, 8))),
        resize="letterbox" if seed % 2 else "stretch",
        pad_value=float(random.integers(0, 256)),
    )
    if seed % 5 == 0:  # no scaling at all, and by exactly two, for which cv2 has code of its own
        factor = 1 + seed // 5 % 2
        height, width = spec.height * factor, spec.width * factor
    count = 0 if seed == 1 else int(random.integers(1, 400))
    corners = random.uniform(-40, spec.width + 40, (count, 2))
    sides = random.uniform(-2, 60, (count, 2))
    boxes = np.concatenate((corners, corners + sides), axis=1).round(seed % 3).astype(np.float32)
    boxes[::7] = boxes[:1]
    boxes[3:4, 2] = np.inf
    boxes[5:6, 0] = np.nan
    return Case(
        photo=random.integers(0, 256, (height, width, 3), dtype=np.uint8),
        spec=spec,
        boxes=boxes,
        scores=random.uniform(0, 1, count).round(2).astype(np.float32),
        landmarks=None if seed % 4 == 0 else random.normal(size=(count, 5, 2)).astype(np.float32),
        threshold=(0.0, 0.3, 0.5)[seed % 3],
        iou=(0.3, 0.45, 1.0)[seed % 3],
        limit=(750, 5)[seed % 2],
    )


@pytest.fixture(scope="module")
def random_cases() -> list[Case]:
    return [random_case(seed) for seed in range(30)]


@pytest.fixture(scope="module")
def photo_cases(shared: Path, onnx_file: Path) -> list[Case]:
    """Raw outputs of the shipped detector on 20 photos."""
    pytest.importorskip("onnxruntime")
    model = pocketface.load(onnx_file, runtime="onnxruntime")
    spec = model.contract.input
    cases = []
    for path in list_images(shared / "wider_face" / "WIDER_val")[::25][:20]:
        photo = read_image(path)
        raw = {name: array[0] for name, array in model.raw(prepare(photo, spec)[0]).items()}
        cases.append(Case(photo, spec, raw["boxes"], raw["scores"], raw["landmarks"], 0.02, 0.45))
    return cases


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> tuple[str, Driver]:
    """Its name, and what runs its driver."""
    return request.param, request.getfixturevalue(request.param)


def answers(
    cases: list[Case], language: tuple[str, Driver], folder: Path
) -> list[tuple[NDArray[np.float32], Detections]]:
    """Network inputs (3, H, W) and faces, as a driver of another language gives them."""
    name, driver = language
    stream = Answers(name, driver, "faces", cases, folder)
    found = []
    for case in cases:
        height, width = case.spec.height, case.spec.width
        batch = stream.picture(height, width).transpose(2, 0, 1)
        (count,) = stream.take(1, "<i4")
        numbers = 5 if case.landmarks is None else 15
        faces = stream.take(count * numbers, "<f4").reshape(count, numbers)
        marks = None if case.landmarks is None else faces[:, 5:].reshape(-1, 5, 2)
        found.append((batch, Detections(faces[:, :4], faces[:, 4], marks)))
    stream.check_end()
    return found


def check(cases: list[Case], language: tuple[str, Driver], folder: Path) -> list[Detections]:
    """Bit for bit, the photo and the faces."""
    found = answers(cases, language, folder)
    for case, (batch, faces) in zip(cases, found, strict=True):
        wanted_batch, wanted = case.expected()
        np.testing.assert_array_equal(batch, wanted_batch)
        np.testing.assert_array_equal(faces.boxes, wanted.boxes)
        np.testing.assert_array_equal(faces.scores, wanted.scores)
        if case.landmarks is not None:
            np.testing.assert_array_equal(faces.landmarks, wanted.landmarks)
    return [faces for _, faces in found]


def test_random_cases(
    random_cases: list[Case], language: tuple[str, Driver], tmp_path: Path
) -> None:
    found = check(random_cases, language, tmp_path)
    assert sum(len(faces.scores) for faces in found) > 200


def test_real_photos(photo_cases: list[Case], language: tuple[str, Driver], tmp_path: Path) -> None:
    found = check(photo_cases, language, tmp_path)
    assert len(found) == 20
    assert sum((faces.scores > 0.4).sum() for faces in found) > 40
