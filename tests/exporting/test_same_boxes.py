"""Same photo, same boxes: PyTorch, OpenVINO and ONNX Runtime on real photos."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import pocketface
from pocketface.data.images import read_image
from pocketface.exporting import ExportRequest, export_model
from pocketface.model_templates.catalogue import shipped_weights
from pocketface.models.weights import read_weights
from pocketface.tasks.templates import open_template

NAME = "face-detection-n"
PHOTOS = 20


@pytest.fixture(scope="module")
def photos(shared: Path) -> list[np.ndarray]:
    """The first photos by name of the held-out WIDER images that show faces."""
    root = shared / "wider_face"
    lines = (root / "wider_face_split" / "wider_face_val_bbx_gt.txt").read_text().splitlines()
    names = sorted(
        name for name, count in pairwise(lines) if name.endswith(".webp") and int(count) > 0
    )
    return [read_image(root / "WIDER_val" / "images" / name) for name in names[:PHOTOS]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pocketface.Model]:
    weights = shipped_weights(open_template(NAME))
    if weights is None:
        pytest.skip(f"{NAME} ships no weights yet")
    folder = tmp_path_factory.mktemp("export")
    request = ExportRequest(
        weights=read_weights(weights), folder=folder, formats=["openvino", "onnx"], verify=False
    )
    assert not export_model(request).failed
    return {
        "torch": pocketface.load(weights, threads=1),
        "openvino": pocketface.load(folder / "model.bin"),
        "onnxruntime": pocketface.load(folder / "model.onnx"),
    }


def assert_same(found: pocketface.Detections, expected: pocketface.Detections) -> None:
    assert len(found) == len(expected)
    assert found.landmarks is not None
    assert expected.landmarks is not None
    # Each box and the one nearest to it: two of nearly equal score may change places.
    apart = np.abs(found.boxes[:, None] - expected.boxes).max(axis=-1)
    order = apart.argmin(axis=0) if len(found) else np.arange(0)
    assert sorted(order) == list(range(len(found)))
    np.testing.assert_allclose(found.boxes[order], expected.boxes, atol=0.5, rtol=0)
    np.testing.assert_allclose(found.landmarks[order], expected.landmarks, atol=0.5, rtol=0)
    np.testing.assert_allclose(found.scores[order], expected.scores, atol=1e-4, rtol=0)


def test_every_runtime_finds_the_same_boxes(
    models: dict[str, pocketface.Model], photos: list[np.ndarray]
) -> None:
    assert len(photos) == PHOTOS
    faces = 0
    for photo in photos:
        expected = models["torch"].predict(photo)
        faces += len(expected)
        for name in ("openvino", "onnxruntime"):
            assert_same(models[name].predict(photo), expected)
    assert faces > 2 * PHOTOS  # else there was nothing to compare


@pytest.mark.parametrize("runtime", ["torch", "openvino", "onnxruntime"])
def test_a_batch_finds_what_single_photos_do(
    models: dict[str, pocketface.Model], photos: list[np.ndarray], runtime: str
) -> None:
    model = models[runtime]
    assert len({photo.shape for photo in photos[:6]}) > 1
    for found, photo in zip(model.predict_batch(photos[:6], batch_size=4), photos[:6], strict=True):
        assert_same(found, model.predict(photo))
