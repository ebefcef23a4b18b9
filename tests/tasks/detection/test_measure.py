"""Running a predictor over photos on disk: order, sizes, unreadable files, progress."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import pocketface
from pocketface.data.coco import Photo
from pocketface.data.coco_json import FACE_CATEGORY, save_coco_json
from pocketface.errors import DataError, ImageError
from pocketface.results import Detections
from pocketface.tasks.detection.measure import _once, evaluate, evaluate_wider, find_in
from pocketface.tasks.detection.samples import counted
from pocketface.tasks.measuring import Labels, Options

MakeModel = Callable[..., Path]
MakeWider = Callable[..., Path]


def _bright_square(image: NDArray[np.uint8]) -> Detections:
    """A detector of the one bright rectangle of a black photo, with its corners as landmarks."""
    y, x = np.nonzero(image[:, :, 0] > 128)
    box = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]], np.float32)
    landmarks = np.tile(box[:, None, :2], (1, 5, 1))
    return Detections(box, np.array([0.9], np.float32), landmarks)


def _write(path: Path, box: tuple[int, int, int, int], size: tuple[int, int] = (200, 100)) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def _photo(path: Path, box: tuple[int, int, int, int], scale: int = 1) -> Photo:
    return Photo(
        path=path,
        image_id=1,
        width=200 * scale,
        height=100 * scale,
        boxes=np.array([box], np.float32),
        ignore=np.zeros(1, np.bool_),
        landmarks=np.full((1, 5, 2), np.nan, np.float32),
    )


BOXES = [(10, 20, 60, 70), (100, 10, 140, 90), (50, 50, 150, 99)]


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    made = []
    for i, box in enumerate(BOXES):
        _write(tmp_path / f"{i}.png", box)
        made.append(_photo(tmp_path / f"{i}.png", box))
    return made


def test_measures_each_photo_in_order(photos: list[Photo]) -> None:
    calls: list[tuple[int, int]] = []
    found = find_in(
        _bright_square, photos, on_progress=lambda done, total: calls.append((done, total))
    )
    figures = found.figures
    assert [tuple(one.boxes[0]) for one in found.detections] == BOXES
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert figures["ap"] == pytest.approx(1)
    assert (figures["images"], figures["images_skipped"]) == (3, 0)


def test_a_wrong_detector_scores_less(photos: list[Photo]) -> None:
    shifted = [_photo(p.path, BOXES[(i + 1) % 3]) for i, p in enumerate(photos)]
    assert find_in(_bright_square, shifted).figures["ap50"] == 0.0


def test_an_unreadable_photo_is_left_out_named_and_counted(
    photos: list[Photo], caplog: pytest.LogCaptureFixture
) -> None:
    photos[1].path.write_text("no photo")
    with caplog.at_level(logging.WARNING):
        found = find_in(_bright_square, photos)
    figures = found.figures
    assert found.photos == [photos[0], photos[2]]
    assert [tuple(one.boxes[0]) for one in found.detections] == [BOXES[0], BOXES[2]]
    assert figures["ap"] == pytest.approx(1)  # its face does not count as missed
    assert (figures["images"], figures["images_skipped"]) == (2, 1)
    assert str(photos[1].path) in caplog.text


def test_detections_are_in_the_pixels_of_the_annotation(tmp_path: Path) -> None:
    # The annotation is of a photo three times the file's size.
    _write(tmp_path / "small.png", BOXES[0])
    large = _photo(tmp_path / "small.png", tuple(3 * v for v in BOXES[0]), scale=3)  # type: ignore[arg-type]
    found = find_in(_bright_square, [large])
    detections = found.detections
    assert found.figures["ap"] == pytest.approx(1)
    assert detections[0].boxes.tolist() == [[30, 60, 180, 210]]
    assert detections[0].landmarks is not None
    assert detections[0].landmarks[0, 0].tolist() == [30, 60]


def test_a_photo_that_was_turned_after_it_was_labelled_is_left_out(
    photos: list[Photo], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _write(tmp_path / "turned.png", (10, 20, 60, 70), size=(100, 200))
    turned = _photo(tmp_path / "turned.png", BOXES[0])
    with caplog.at_level(logging.WARNING):
        found = find_in(_bright_square, [photos[0], turned])
    assert found.photos == [photos[0]]
    assert found.figures["images_skipped"] == 1
    assert "turned.png: is 100x200, and was labelled as 200x100: before its EXIF" in caplog.text


def test_false_faces_are_counted_from_the_models_own_threshold_on(
    make_model: MakeModel, tmp_path: Path
) -> None:
    """AP counts boxes from 0.02 on, which nobody sees."""
    boxes = [[10, 10, 30, 30], [100, 10, 120, 30], [100, 50, 120, 70]]
    model = pocketface.load(make_model(boxes, [0.9, 0.7, 0.3]))
    assert cv2.imwrite(str(tmp_path / "a.png"), np.full((80, 160, 3), 255, np.uint8))
    face = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "area": 400}
    image = {"id": 1, "file_name": "a.png", "width": 160, "height": 80}
    content = {"images": [image], "annotations": [face], "categories": [FACE_CATEGORY]}
    save_coco_json(content, tmp_path / "faces.json")
    labels = Labels([tmp_path / "faces.json"], [tmp_path])

    def false_faces(threshold: float | None) -> float | None:
        found = evaluate(model, labels, Options(score_threshold=threshold))
        assert found.protocol["threshold"] == max(threshold or 0.0, 0.5)
        return found.figures["false_alarms"]

    assert [false_faces(one) for one in (None, 0.2, 0.8)] == [1, 1, 0]


def test_refuses_to_measure_nothing(photos: list[Photo]) -> None:
    with pytest.raises(DataError, match="no photos"):
        find_in(_bright_square, [])
    for photo in photos[:2]:
        photo.path.write_text("no photo")
    with pytest.raises(DataError, match=r"^2 of 3 photos cannot be used: .*0\.png"):
        find_in(_bright_square, photos)
    with pytest.raises(DataError, match=r"^2 of 3 photos cannot be used: .*0\.png"):
        counted(photos)


def test_a_failure_of_the_predictor_comes_through(photos: list[Photo]) -> None:
    def fail(image: NDArray[np.uint8]) -> Detections:
        raise ZeroDivisionError(image.shape)

    with pytest.raises(ZeroDivisionError):
        find_in(fail, photos)


def test_photos_of_the_same_bytes_are_not_one_photo() -> None:
    seen: list[tuple[int, ...]] = []

    def predict(image: NDArray[np.uint8]) -> Detections:
        seen.append(image.shape)
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    predictor = _once(predict)
    black = np.zeros((10, 20, 3), np.uint8)
    for image in (black, black.reshape(20, 10, 3), black.copy()):
        predictor(image)
    assert seen == [(10, 20, 3), (20, 10, 3)]


def test_wider_folder(make_wider: MakeWider) -> None:
    faces = [[x, y, x2 - x, y2 - y] for x, y, x2, y2 in BOXES]
    keys = ["0--Parade/a", "0--Parade/b.c", "1--Handshaking/d"]
    labels = [{"easy": [0], "hard": [0]}, {"hard": [0]}, {"easy": [0], "hard": [0]}]
    folder = make_wider(
        {
            key: {"faces": [face], **label}
            for key, face, label in zip(keys, faces, labels, strict=True)
        }
    )
    images = folder / "WIDER_val" / "images"
    for key, box in zip(keys, [BOXES[0], BOXES[1], BOXES[0]], strict=True):  # the last: wrong
        _write(images / f"{key}.webp", box)
    calls: list[tuple[int, int]] = []
    detections, figures = evaluate_wider(
        _bright_square, folder, on_progress=lambda done, total: calls.append((done, total))
    )
    assert list(detections) == keys
    assert calls[-1] == (3, 3)
    assert figures["images"] == 3
    assert figures["wider_medium"] is None
    # All scores alike: one point of the curve. Easy: of two faces one found, and one false; the
    # face of hard alone is found and is neither.
    assert figures["wider_easy"] == pytest.approx(1 / 2 * 1 / 2)
    assert figures["wider_hard"] == pytest.approx(2 / 3 * 2 / 3)

    (images / f"{keys[1]}.webp").write_bytes(b"RIFF")
    with pytest.raises(ImageError, match=r"b\.c\.webp"):
        evaluate_wider(_bright_square, folder)
