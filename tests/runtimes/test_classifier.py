"""A classifier as a user meets it: the shipped one, on two photos in the public domain."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import matplotlib
import numpy as np
import pytest
import skimage

import pocketface
from pocketface import Classification, FaceClassifier, FaceDetector
from pocketface.errors import ContractError, InputError, ModelFileError, PocketfaceError
from pocketface.export import export_model
from pocketface.model_templates import template_path
from pocketface.models.weights import shipped_weights
from pocketface.tasks.templates import open_template
from pocketface.tasks.load import load_as
from pocketface.tasks.fit import check_fit
from pocketface.tasks.detection.framed import LARGE, find_framed

ASTRONAUT = Path(skimage.__file__).parent / "data" / "astronaut.png"
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def shipped(name: str) -> Any:
    weights = shipped_weights(open_template(name))
    assert weights is not None
    return pocketface.load(weights)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return shipped("face-detection-n")


@pytest.fixture(scope="module")
def classifier() -> FaceClassifier:
    return shipped("glasses-n")


@pytest.mark.parametrize(("photo", "label"), [(ASTRONAUT, "no_glass"), (HOPPER, "glass")])
def test_who_wears_glasses(
    detector: FaceDetector, classifier: FaceClassifier, photo: Path, label: str
) -> None:
    faces = detector.predict(photo)
    assert faces.landmarks is not None
    (found,) = classifier.predict(photo, faces.landmarks)
    assert found.label == label
    assert found.score > 0.9
    assert found.score == found.scores[["no_glass", "glass"].index(label)]
    assert found.scores.sum() == pytest.approx(1, abs=1e-5)


def test_the_threshold_decides(detector: FaceDetector, classifier: FaceClassifier) -> None:
    landmarks = detector.predict(HOPPER).landmarks
    assert landmarks is not None
    (sure,) = classifier.predict(HOPPER, landmarks, score_threshold=0.0)
    (unsure,) = classifier.predict(HOPPER, landmarks, score_threshold=1.0)
    assert (sure.label, unsure.label) == ("glass", "no_glass")
    assert unsure.score == pytest.approx(1 - sure.score, abs=1e-5)
    with pytest.raises(InputError, match="score_threshold is 2"):
        classifier.predict(HOPPER, landmarks, score_threshold=2)


def test_many_faces_one_face_no_face(
    detector: FaceDetector, classifier: FaceClassifier, tmp_path: Path
) -> None:
    """Also where the file takes one at a time."""
    landmarks = detector.predict(HOPPER).landmarks
    assert landmarks is not None
    many = np.concatenate([landmarks + shift for shift in (0, 1, -2, 3, 5)])
    assert classifier.predict(HOPPER, many[:0]) == []
    wanted = [one.scores for one in classifier.predict(HOPPER, many, batch_size=2)]
    assert len({tuple(one) for one in wanted}) == 5
    pytest.importorskip("litert_torch", reason="needs litert_torch")
    report = export_model(
        weights=None, template="glasses-n", folder=tmp_path, formats=["litert"], verify=False
    )
    (file,) = report.files
    found = [one.scores for one in pocketface.load(file).predict(HOPPER, many)]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    "landmarks", [np.zeros((5, 2)), np.zeros((1, 4, 2)), np.full((1, 5, 2), np.nan)]
)
def test_landmarks_that_are_none(classifier: FaceClassifier, landmarks: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"landmarks have shape .*: expected \(faces, 5, 2\), all"):
        classifier.predict(HOPPER, landmarks)


def test_a_classifier_is_no_detector() -> None:
    weights = shipped_weights(open_template("glasses-n"))
    assert weights is not None
    with pytest.raises(ModelFileError, match="is for glasses-classification; expected a face det"):
        load_detector(weights)


def test_probabilities_that_are_not_finite(classifier: FaceClassifier) -> None:
    def run(batch: np.ndarray) -> dict[str, np.ndarray]:
        return {"probabilities": np.full((len(batch), 2), np.nan, np.float32)}

    session = type(classifier.session)(**{**vars(classifier.session), "run": run})
    broken = FaceClassifier(contract=classifier.contract, session=session, path=Path("broken.onnx"))
    with pytest.raises(PocketfaceError, match=r"broken\.onnx: the network's probabilities are not"):
        broken.classify([np.zeros((80, 80, 3), np.uint8)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ("a", "b", "c")}, r"expected probabilities \(-1, 3\)"),
        ({"points": None}, "input resize align: expected align, with five points"),
        ({"resize": "stretch"}, "input resize stretch: expected align"),
    ],
)
def test_contracts_that_do_not_fit(
    classifier: FaceClassifier, changes: dict[str, Any], message: str
) -> None:
    contract = classifier.contract
    if "labels" in changes:
        contract = contract.model_copy(update=changes)
    else:
        spec = contract.input.model_copy(update=changes)
        contract = contract.model_copy(update={"input": spec})
    with pytest.raises(ContractError, match=message):
        check_fit(contract, classifier.session, source="file")


def test_a_small_face_beside_a_large_one_is_kept(detector: FaceDetector) -> None:
    from pocketface.data.images import read_image

    hopper = read_image(HOPPER)[80:380, 150:380]
    corner = cv2.resize(hopper, (46, 60), interpolation=cv2.INTER_AREA)
    photo = cv2.resize(read_image(ASTRONAUT)[50:230, 130:320], None, fx=6, fy=6)
    photo[-60:, :46] = corner
    plain, (found,) = detector.predict(photo), find_framed(detector, [photo])
    sides = (found.boxes[:, 2:] - found.boxes[:, :2]).max(1)
    assert len(plain) == len(found) == 2
    assert min(sides) < 100 < LARGE * max(photo.shape) < max(sides)
    small = int(sides.argmin())
    np.testing.assert_array_equal(found.boxes[small], plain.boxes[small])
    assert found.landmarks is not None
    assert plain.landmarks is not None
    np.testing.assert_array_equal(found.landmarks[small], plain.landmarks[small])
    assert (np.diff(found.scores) <= 0).all()


def test_a_large_face_that_the_second_look_loses_is_kept() -> None:
    large, small = [10.0, 10.0, 90.0, 90.0], [92.0, 92.0, 99.0, 99.0]

    class Fickle:
        """Loses the large face, or finds it a little elsewhere, where a frame is around it."""

        contract = SimpleNamespace(score_threshold=0.5, nms=None)

        def __init__(self, again: list[list[float]]) -> None:
            self.again = again

        def predict_batch(self, images: list[np.ndarray], **_: Any) -> list[pocketface.Detections]:
            framed = images[0].shape[0] > 100
            boxes = np.array(self.again, np.float32) + 25 if framed else np.array([large, small])
            scores = np.linspace(0.9, 0.6, len(boxes), dtype=np.float32)
            return [pocketface.Detections(boxes.astype(np.float32), scores, None)]

    photo = np.zeros((100, 100, 3), np.uint8)
    moved = [12.0, 8.0, 88.0, 92.0]
    for again, expected in (([small], [large, small]), ([moved, small], [moved, small])):
        (found,) = find_framed(cast("FaceDetector", Fickle(again)), [photo])
        kept = sorted({tuple(box) for box in found.boxes.tolist()})
        assert kept == sorted(map(tuple, expected))


@pytest.mark.parametrize(("nms", "answered"), [(None, [0.9]), ("graph", [])])
def test_a_large_face_that_is_faint_is_looked_at_again(nms: Any, answered: list[float]) -> None:
    class Shy:
        """Sure of the face where a frame is around it."""

        contract = SimpleNamespace(score_threshold=0.5, nms=nms)

        def predict_batch(
            self, images: list[np.ndarray], *, score_threshold: float, **_: Any
        ) -> list[pocketface.Detections]:
            framed = images[0].shape[0] > 100
            boxes = np.array([[10, 10, 90, 90]], np.float32) + (25 if framed else 0)
            scores = np.array([0.9 if framed else 0.2], np.float32)
            return [pocketface.Detections(boxes, scores, None).above(score_threshold)]

    photo = np.zeros((100, 100, 3), np.uint8)
    (found,) = find_framed(cast("FaceDetector", Shy()), [photo])
    np.testing.assert_allclose(found.scores, answered)
    for box in found.boxes:
        np.testing.assert_allclose(box, [10, 10, 90, 90])


@pytest.mark.parametrize(("side", "scores", "looks"), [
    (40, (0.9, 0.3), 1),  # a face, and a torso
    (20, (0.9, 0.3), 2),  # an eye of a large face
    (40, (0.55, 0.3), 2),  # neither is sure
    (40, (0.9, 0.6), 2),  # both are found
    (40, (0.4, 0.15), 2),  # neither is found
])  # fmt: skip
def test_what_is_faint_beside_a_sure_face_gets_no_second_look(
    side: int, scores: tuple[float, float], looks: int
) -> None:
    seen = []

    class Plain:
        """A box of 80 pixels, and a smaller one."""

        contract = SimpleNamespace(score_threshold=0.5, nms=None)

        def predict_batch(
            self, images: list[np.ndarray], *, score_threshold: float, **_: Any
        ) -> list[pocketface.Detections]:
            seen.append(images[0].shape)
            boxes = np.array([[30, 30, 30 + side, 30 + side], [10, 10, 90, 90]], np.float32)
            found = pocketface.Detections(boxes, np.array(scores, np.float32), None)
            return [found.above(score_threshold)]

    find_framed(cast("FaceDetector", Plain()), [np.zeros((100, 100, 3), np.uint8)])
    assert len(seen) == looks


def test_a_face_that_fills_the_photo_is_found_with_its_landmarks(detector: FaceDetector) -> None:
    from pocketface.data.images import read_image

    photo = read_image(HOPPER)
    x1, y1, x2, y2 = 175, 110, 357, 337
    tight = photo[y1:y2, x1:x2]
    wanted = np.array([[225, 195], [303, 190], [268, 238], [233, 272], [305, 268]]) - (x1, y1)

    def off(found: pocketface.Detections) -> float:
        assert found.landmarks is not None
        best = int(np.argmax((found.boxes[:, 2:] - found.boxes[:, :2]).prod(1)))
        return float(np.linalg.norm(found.landmarks[best] - wanted, axis=1).mean())

    # Among others, of other sizes.
    plain = detector.predict(photo)
    first, framed, last = find_framed(detector, [photo, tight, photo])
    assert off(framed) < 12  # of 78 between the eyes
    assert off(framed) < off(detector.predict(tight))
    assert len(framed) == 1
    # Faces with surroundings are left alone.
    for found in (first, last):
        np.testing.assert_allclose(found.boxes, plain.boxes, atol=1e-3)
    assert find_framed(detector, []) == []


def test_classification_is_public() -> None:
    found = Classification("glass", 1, 0.9, np.array([0.1, 0.9], np.float32))
    assert (found.label, found.score) == ("glass", 0.9)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_no_faces_at_once(classifier: FaceClassifier, batch_size: int) -> None:
    with pytest.raises(InputError, match=f"batch_size {batch_size}: expected 1 or more"):
        classifier.predict(HOPPER, np.zeros((1, 5, 2)), batch_size=batch_size)
