"""The examples cut heads out, and lay their masks back into the photo, as Python does."""

from __future__ import annotations

import base64
import json
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray

import pocketface
from pocketface import FaceSegmenter
from pocketface.data.images import read_image
from pocketface.mask import Mask
from pocketface.model_templates.contract import Contract
from pocketface.runtimes.session import Session

from .answers import LANGUAGES, Answers, Driver

POINTS = np.array([[0.38, 0.47], [0.62, 0.47], [0.5, 0.62], [0.4, 0.72], [0.6, 0.72]], np.float32)
"""Of an aligned head, as shares of the input's sides."""


@dataclass(frozen=True, eq=False)
class Case:
    """A photo, heads in it, and what a network says of them."""

    photo: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    shares: NDArray[np.float32]
    """(heads, classes, height, width), 0 to 1."""

    @property
    def segmenter(self) -> FaceSegmenter:
        """Of its input and classes; it cannot run."""
        classes, height, width = self.shares.shape[1:]
        shape = (1, classes, height, width)
        names = ["face"] if classes == 1 else ["background", "face", "glasses"][:classes]
        contract = Contract.model_validate(
            {
                "name": "case",
                "task": "face-segmentation",
                "input": {
                    "shape": (1, 3, height, width),
                    "resize": "align",
                    "points": tuple(map(tuple, (POINTS * (width, height)).tolist())),
                },
                "outputs": ({"name": "mask", "shape": shape, "meaning": "", "unit": ""},),
                "rules": {"classes": names, "threshold": 0.4},
                "provenance": {"template": "case", "package_version": "0"},
            }
        )
        session = Session("none", "cpu", None, {}, {}, lambda _: {})
        return FaceSegmenter(contract=contract, session=session, path=Path("none"))

    def packed(self) -> bytes:
        """As the drivers read it."""
        height, width = self.photo.shape[:2]
        heads, classes, rows, columns = self.shares.shape
        points = (POINTS * (columns, rows)).astype(np.float32)
        parts = [
            struct.pack("<6if", width, height, columns, rows, classes, heads, 0.4),
            points.tobytes(),
        ]
        for points, shares in zip(self.landmarks, self.shares, strict=True):
            parts += [points.tobytes(), shares.tobytes()]
        return b"".join([*parts, cv2.cvtColor(self.photo, cv2.COLOR_BGR2RGBA).tobytes()])

    def expected(self) -> tuple[list[NDArray[np.uint8]], list[Mask]]:
        """The heads, (height, width, 3), and their masks."""
        transforms = self.segmenter.transforms(self.photo.shape, self.landmarks)
        heads = self.segmenter.cut(self.photo, transforms)
        return heads, self.segmenter.place([*self.shares], transforms, self.photo.shape)


def case(seed: int) -> Case:
    """Heads large and small, turned, mirrored, beside each other, in and beyond the photo."""
    random = np.random.default_rng(seed)
    height, width = (int(size) for size in random.integers(30, 260, 2))
    rows, columns = (32 * int(size) for size in random.integers(1, 4, 2))
    photo = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), 1.5), np.uint8)
    count, classes = int(random.integers(1, 4)), (1, 3)[seed % 2]
    points = POINTS * (columns, rows)
    landmarks = []
    for _ in range(count):
        turn, scale = random.uniform(-3, 3), random.uniform(0.1, 4)
        if seed == 0:
            turn, scale = 0.0, 1.0
        turned = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        place = random.uniform(0, 1.1, 2) * (width, height)
        landmarks.append(
            (points - points.mean(0)) @ turned.T + place + random.normal(0, scale, (5, 2))
        )
    if seed == 1:
        landmarks[0][:] = 20.0
    shares = random.uniform(0, 1, (count, classes, rows, columns)).astype(np.float32)
    soft = np.stack([[cv2.GaussianBlur(one, (0, 0), 2) for one in head] for head in shares])
    return Case(photo, np.array(landmarks, np.float32), soft.astype(np.float32))


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [case(seed) for seed in range(30)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_heads_and_masks(
    language: str, cases: list[Case], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    driver = request.getfixturevalue(language)
    answers = Answers(language, driver, "masks", cases, tmp_path)
    emptied = compared = 0
    for one in cases:
        heads, masks = one.expected()
        _, classes, rows, columns = one.shares.shape
        for head, mask in zip(heads, masks, strict=True):
            off = np.abs(answers.picture(rows, columns) - head)
            assert off.max() <= 1
            assert (off > 0).mean() < 0.01

            left, top, width, height = answers.take(4, "<i4").tolist()
            assert (left, top) == (mask.left, mask.top)
            assert (height, width) == mask.probabilities.shape[1:]
            found = answers.take(classes * width * height, "<f4").reshape(classes, height, width)
            differ = (np.abs(found - mask.probabilities) > 1e-3).any(axis=0)
            # Where two heads are as near, or at a head's edge, a pixel may go either way.
            assert differ.sum() <= max(1, 0.001 * differ.size)
            emptied += int((found == 0).all(axis=0).sum())
            compared += 1
    answers.check_end()
    assert compared > 40
    assert emptied > 1000


def test_the_page_gives_the_masks_of_python(
    javascript: Driver, onnx_file: Path, segmenter_file: Path, tmp_path: Path
) -> None:
    """From the photo on, with the networks in WebAssembly."""
    vendor = Path(__file__).resolve().parents[2] / "examples/web/vendor/ort.wasm.min.mjs"
    if not vendor.exists():
        pytest.skip("needs examples/web/vendor (cd examples/web && npm ci)")
    pytest.importorskip("onnxruntime")
    photo = read_image(Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg"))
    photo = np.hstack([photo, photo[:, ::-1]])
    height, width = photo.shape[:2]
    shutil.copy(onnx_file, tmp_path / "detector.onnx")
    shutil.copy(segmenter_file, tmp_path / "segmenter.onnx")
    (tmp_path / "photo").write_bytes(cv2.cvtColor(photo, cv2.COLOR_BGR2RGBA).tobytes())
    (tmp_path / "size.json").write_text(json.dumps({"width": width, "height": height}))

    found = json.loads(javascript("segment", tmp_path))

    segmenter = pocketface.load(segmenter_file, runtime="onnxruntime")
    landmarks = np.array([one["landmarks"] for one in found], np.float32)
    masks = segmenter.predict(photo, landmarks)
    assert len(masks) == 2
    for mask, one in zip(masks, found, strict=True):
        assert [one[key] for key in ("left", "top")] == [mask.left, mask.top]
        shape = mask.probabilities.shape
        assert (one["height"], one["width"]) == shape[1:]
        there = np.frombuffer(base64.b64decode(one["probabilities"]), np.float32).reshape(shape)
        np.testing.assert_allclose(there, mask.probabilities, atol=1e-3)
        assert mask.probabilities.std() > 0.01
