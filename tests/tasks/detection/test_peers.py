"""Peers: faces where they are, in pixels of the photo, at any shape."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pocketface.data.images import read_image
from pocketface.errors import ModelFileError
from pocketface.runtimes import DEFAULT_RUNTIMES
from pocketface.tasks.detection.measure import Predictor, predictor
from pocketface.tasks.detection.peers import PEERS, open_peer, ways_of

PHOTO = "airport/train/image_000000.jpg"


def opened(name: str, folder: Path, runtime: str | None = None) -> Predictor:
    """A peer, at the low score from which figures are measured."""
    path = folder / PEERS[name].file
    runtime = DEFAULT_RUNTIMES[path.suffix] if runtime is None else runtime
    return predictor(open_peer(name, path, runtime=runtime, threads=None, device="cpu"))


@pytest.fixture(scope="module", params=sorted(PEERS))
def predict(request: pytest.FixtureRequest, shared: Path) -> Predictor:
    return opened(request.param, shared / "peers")


def test_finds_the_faces_in_pixels_of_the_photo(predict: Predictor, shared: Path) -> None:
    truth = json.loads((shared / "airport/annotation_faces_train.json").read_text())
    image = read_image(shared / PHOTO)
    ids = [i["id"] for i in truth["images"] if i["file_name"].endswith(Path(PHOTO).name)]
    faces = [a["bbox"] for a in truth["annotations"] if a["image_id"] in ids]
    found = predict(image).above(0.5)
    assert len(found) == len(faces) > 0
    for x, y, w, h in faces:
        low = np.maximum(found.boxes[:, :2], [x, y])
        high = np.minimum(found.boxes[:, 2:], [x + w, y + h])
        common = np.clip(high - low, 0, None).prod(axis=1)
        area = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=1)
        assert (common / (area + w * h - common)).max() > 0.45


def test_results_are_sorted_bounded_and_with_landmarks_inside(
    predict: Predictor, shared: Path
) -> None:
    found = predict(read_image(shared / PHOTO))
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores.min() >= np.float32(0.02)
    if found.landmarks is None:
        return
    assert found.landmarks.shape == (len(found), 5, 2)
    sure = found.scores > 0.5
    eyes_and_mouth = found.landmarks[sure]
    assert (eyes_and_mouth[:, 0, 0] < eyes_and_mouth[:, 1, 0]).all()  # left before right
    assert (eyes_and_mouth[:, 0, 1] < eyes_and_mouth[:, 3, 1]).all()  # eye above mouth
    assert (eyes_and_mouth > found.boxes[sure, None, :2]).all()
    assert (eyes_and_mouth < found.boxes[sure, None, 2:]).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (900, 2), (640, 640)])
def test_takes_any_shape(predict: Predictor, shape: tuple[int, int]) -> None:
    found = predict(np.zeros((*shape, 3), np.uint8)).above(0.5)
    assert len(found) == 0


@pytest.mark.parametrize("name", [name for name in sorted(PEERS) if ways_of(name)])
def test_opencv_finds_what_the_other_runtimes_find(name: str, shared: Path) -> None:
    """It prepares photos in its own way, so that boxes are not the same to the pixel."""
    image = read_image(shared / PHOTO)
    found, expected = (
        opened(name, shared / "peers", runtime)(image).above(0.5)
        for runtime in ("opencv", "onnxruntime")
    )
    assert len(found) == len(expected) > 0
    sides = (expected.boxes[:, 2:] - expected.boxes[:, :2]).max(axis=1, keepdims=True)
    np.testing.assert_allclose(found.boxes / sides, expected.boxes / sides, atol=0.1)
    np.testing.assert_allclose(found.scores, expected.scores, atol=0.05)


def test_refuses_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"scrfd_500m\.onnx: no such file"):
        opened("scrfd-500m", tmp_path)
