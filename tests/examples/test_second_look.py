"""JavaScript, Kotlin and Swift look twice at photos that a face fills, as `FaceDetector` does."""

from __future__ import annotations

import json
import shutil
import struct
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import pytest
import skimage
from numpy.typing import NDArray

import pocketface
from pocketface import Detections, FaceDetector
from pocketface.data.images import list_images, read_image
from pocketface.data.preprocess import prepare
from pocketface.model_templates.contract import Contract
from pocketface.runtimes.session import Outputs, Session
from pocketface.tasks.detection.framed import framed
from pocketface.tasks.detection.rules import detection_rules

from .answers import LANGUAGES, Answers, Driver


@dataclass(frozen=True, eq=False)
class Case:
    """A photo, and what a network says at the first and at the second look."""

    photo: NDArray[np.uint8]
    contract: Contract
    threshold: float
    """The one that is asked for."""
    looks: tuple[Outputs, Outputs]

    def packed(self) -> bytes:
        """As the drivers read it."""
        height, width = self.photo.shape[:2]
        spec, rules = self.contract.input, detection_rules(self.contract)
        parts = [
            struct.pack("<4i", width, height, spec.width, spec.height),
            struct.pack("<if", spec.resize == "letterbox", spec.pad_value),
            cv2.cvtColor(self.photo, cv2.COLOR_BGR2RGBA).tobytes(),
            struct.pack("<3f", rules.score_threshold, self.threshold, rules.nms_iou),
        ]
        for look in self.looks:
            parts.append(struct.pack("<2i", look["scores"].size, "landmarks" in look))
            parts += [array.tobytes() for array in look.values()]
        return b"".join(parts)

    @cached_property
    def expected(self) -> tuple[list[NDArray[np.float32]], Detections]:
        """The inputs of each look, (3, H, W), and the faces."""
        inputs: list[NDArray[np.float32]] = []

        def run(batch: NDArray[np.float32]) -> Outputs:
            inputs.append(batch[0].copy())
            return self.looks[len(inputs) - 1]

        session = Session("none", "cpu", None, {}, {}, run)
        model = FaceDetector(contract=self.contract, session=session, path=Path("none"))
        return inputs, model.predict(self.photo, score_threshold=self.threshold)


def contract_of(width: int, height: int, resize: str, rules: dict[str, Any]) -> Contract:
    output = {"shape": (1, 1), "meaning": "", "unit": ""}
    return Contract.model_validate(
        {
            "name": "case",
            "task": "face-detection",
            "input": {"shape": (1, 3, height, width), "resize": resize, "pad_value": 114.0},
            "outputs": tuple({"name": name, **output} for name in ("boxes", "scores")),
            "rules": rules,
            "provenance": {"template": "case", "package_version": "0"},
        }
    )


def case(seed: int) -> Case:
    """Faces that fill the photo, faint and sure, torsos, eyes, and other faces beside them."""
    random = np.random.default_rng(seed)
    height, width = (int(side) for side in random.integers(20, 500, 2))
    photo = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    columns, rows = (32 * int(side) for side in random.integers(1, 9, 2))
    own = (0.4, 0.5, 0.3)[seed % 3]
    contract = contract_of(
        *(columns, rows, "letterbox" if seed % 4 else "stretch"),
        {"labels": ["face"], "score_threshold": own, "nms_iou": 0.6},
    )
    count = int(random.integers(1, 6))
    # Shares of the photo: most fill much of it, others are somewhere.
    centres = random.uniform(0.3, 0.7, (count, 2))
    sides = random.uniform(0.3, 1.1, (count, 2)) * random.choice([1, 1, 0.4, 0.2], (count, 1))
    boxes = np.concatenate((centres - sides / 2, centres + sides / 2), 1) * ([width, height] * 2)
    scores = np.concatenate((random.uniform(0.1, 0.95, count), [own, own / 2, 0.6, 0.3, 0.75]))
    scores = random.permutation(scores)[:count]

    # The second look finds some of them again, about there, and some more.
    longer = max(width, height)
    again = boxes + random.normal(0, 0.05, boxes.shape) * longer
    in_the_frame = np.array([[-0.2, 0.1, -0.05, 0.7]]) * longer
    again = np.concatenate((again[::2], again / 2, in_the_frame))
    again_scores = random.uniform(0.2, 1, len(again))
    copy = framed(photo, longest=max(columns, rows))
    inner = np.array(copy.pixels.shape[1::-1]) - 2 * copy.frame
    again = (again.reshape(-1, 2, 2) * inner / (width, height) + copy.frame).reshape(-1, 4)

    def outputs(pixels: NDArray[np.uint8], found: NDArray, scores: NDArray) -> Outputs:
        _, placement = prepare(pixels, contract.input)
        boxes = found * ([placement.scale_x, placement.scale_y] * 2)
        made = {"boxes": boxes, "scores": scores.round(2)}
        if seed % 5:
            made["landmarks"] = boxes[:, None, :2] + random.uniform(0, 9, (len(boxes), 5, 2))
        return {name: array[None].astype(np.float32) for name, array in made.items()}

    threshold = (own, 0.02, 0.62, own, 0.25)[seed % 5 - 1]
    first = outputs(photo, boxes, scores)
    return Case(photo, contract, threshold, (first, outputs(copy.pixels, again, again_scores)))


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [case(seed) for seed in range(200)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_random_cases(
    language: str, cases: list[Case], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Bit for bit, what the network is shown at each look and the faces."""
    driver = request.getfixturevalue(language)
    answers = Answers(language, driver, "twice", cases, tmp_path)
    for one in cases:
        inputs, wanted = one.expected
        rows, columns = one.contract.input.height, one.contract.input.width
        assert answers.take(1, "<i4").item() == len(inputs)
        for shown in inputs:
            made = answers.picture(rows, columns)
            np.testing.assert_array_equal(made, shown.transpose(1, 2, 0))
        numbers = 5 if wanted.landmarks is None else 15
        count = answers.take(1, "<i4").item()
        faces = answers.take(count * numbers, "<f4").reshape(-1, numbers)
        np.testing.assert_array_equal(faces[:, :4], wanted.boxes)
        np.testing.assert_array_equal(faces[:, 4], wanted.scores)
        if wanted.landmarks is not None:
            np.testing.assert_array_equal(faces[:, 5:].reshape(-1, 5, 2), wanted.landmarks)
    answers.check_end()


def test_the_cases_are_of_all_kinds(cases: list[Case]) -> None:
    kinds: Counter[str] = Counter()
    for one in cases:
        inputs, found = one.expected
        kinds[f"{len(inputs)} looks"] += 1
        if len(inputs) == 2:
            looks = [bool(np.isin(found.scores, look["scores"]).any()) for look in one.looks]
            kinds[f"faces of the first look: {looks[0]}, of the second: {looks[1]}"] += any(looks)
    assert len(+kinds) == 5, kinds
    assert min((+kinds).values()) >= 10, kinds


def test_the_page_finds_faces_that_fill_the_photo(
    javascript: Driver, onnx_file: Path, examples: Path, shared: Path, tmp_path: Path
) -> None:
    """From the photo on, with the network in WebAssembly."""
    if not (examples / "web/vendor/ort.wasm.min.mjs").exists():
        pytest.skip("needs examples/web/vendor (cd examples/web && npm ci)")
    pytest.importorskip("onnxruntime")
    hopper = read_image(Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg"))
    astronaut = read_image(Path(skimage.__path__[0], "data", "astronaut.png"))
    tight = [hopper[110:337, 175:357], cv2.resize(astronaut[50:230, 130:320], None, fx=6, fy=6)]
    people = [read_image(path) for path in list_images(shared / "att_faces")[::25][:10]]
    photos = [*tight, *people, hopper]
    model = pocketface.load(onnx_file, runtime="onnxruntime")
    assert isinstance(model, FaceDetector)
    shutil.copy(onnx_file, tmp_path / "model.onnx")
    for index, photo in enumerate(photos):
        (tmp_path / f"photo-{index}").write_bytes(cv2.cvtColor(photo, cv2.COLOR_BGR2RGBA).tobytes())
    sizes = [{"width": photo.shape[1], "height": photo.shape[0]} for photo in photos]
    (tmp_path / "photos.json").write_text(json.dumps(sizes))

    found = json.loads(javascript("predict", tmp_path))

    changed = 0
    for photo, faces in zip(photos, found, strict=True):
        wanted = model.predict(photo)
        assert len(faces) == len(wanted)
        for face, one in zip(faces, wanted, strict=True):
            np.testing.assert_allclose(face["box"], one.box, atol=0.01)
            np.testing.assert_allclose(face["landmarks"], one.landmarks, atol=0.01)
            assert face["score"] == pytest.approx(one.score, abs=1e-4)
        changed += wanted != model.predict(photo, second_look=False)
    assert changed >= 5
