"""A classifier as a user meets it: the shipped one, on two photos in the public domain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import skimage

import pocketface
from pocketface import Classification, FaceClassifier, FaceDetector
from pocketface.errors import ContractError, InputError, ModelFileError, PocketfaceError
from pocketface.model_templates.catalogue import shipped_weights
from pocketface.runtimes.session import Outputs
from pocketface.tasks.fit import check_fit
from pocketface.tasks.load import load_as
from pocketface.tasks.templates import open_template

ASTRONAUT = Path(skimage.__file__).parent / "data" / "astronaut.png"
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def shipped(name: str) -> Any:
    weights = shipped_weights(open_template(name))
    assert weights is not None
    return pocketface.load(weights)


def constant(classifier: FaceClassifier, share: float) -> FaceClassifier:
    """One that gives every face this probability of its last label."""

    def run(batch: np.ndarray) -> Outputs:
        return {"probabilities": np.array([[1 - share, share]] * len(batch), np.float32)}

    session = replace(classifier.session, run=run)
    contract = classifier.contract
    return FaceClassifier(contract=contract, session=session, path=Path("constant.onnx"))


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


def test_many_faces_one_face_no_face(detector: FaceDetector, classifier: FaceClassifier) -> None:
    """Also where the file takes a fixed number at a time: the last batch is filled up."""
    landmarks = detector.predict(HOPPER).landmarks
    assert landmarks is not None
    many = np.concatenate([landmarks + shift for shift in (0, 1, -2, 3, 5)])
    assert classifier.predict(HOPPER, many[:0]) == []
    wanted = [one.scores for one in classifier.predict(HOPPER, many, batch_size=2)]
    assert len({tuple(one) for one in wanted}) == 5
    for size in (1, 3):
        found = [one.scores for one in fixed(classifier, size).predict(HOPPER, many)]
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def fixed(classifier: FaceClassifier, size: int) -> FaceClassifier:
    """The same, as a file that takes this many faces and no other number."""

    def run(batch: np.ndarray) -> Outputs:
        assert len(batch) == size
        return classifier.session.run(batch)

    spec = classifier.contract.input
    spec = spec.model_copy(update={"shape": (size, *spec.shape[1:])})
    contract = classifier.contract.model_copy(update={"input": spec})
    session = replace(classifier.session, run=run)
    return FaceClassifier(contract=contract, session=session, path=Path("fixed.tflite"))


@pytest.mark.parametrize(
    "landmarks", [np.zeros((5, 2)), np.zeros((1, 4, 2)), np.full((1, 5, 2), np.nan)]
)
def test_landmarks_that_are_none(classifier: FaceClassifier, landmarks: np.ndarray) -> None:
    with pytest.raises(
        InputError, match=r"landmarks (have shape|of face 1 are).*: expected \(faces, 5, 2\), all"
    ):
        classifier.predict(HOPPER, landmarks)


def test_a_classifier_is_no_detector() -> None:
    weights = shipped_weights(open_template("glasses-n"))
    assert weights is not None
    with pytest.raises(ModelFileError, match="is for face-classification; expected a face det"):
        load_as(FaceDetector, weights)


def test_probabilities_that_are_not_finite(classifier: FaceClassifier) -> None:
    broken = constant(classifier, np.nan)
    with pytest.raises(
        PocketfaceError, match=r"constant\.onnx: the network's probabilities are no"
    ):
        broken.classify([np.zeros((80, 80, 3), np.uint8)])


@pytest.mark.parametrize(
    ("share", "threshold", "label"),
    [
        (0.75, 0.75, "glass"),  # from the threshold on, not above it
        (0.75, 0.7500001, "no_glass"),
        (0.5, 0.5, "glass"),
        (0.0, 0.0, "glass"),
    ],
)
def test_a_probability_equal_to_the_threshold(
    classifier: FaceClassifier, share: float, threshold: float, label: str
) -> None:
    faces = [np.zeros((80, 80, 3), np.uint8)]
    (found,) = constant(classifier, share).classify(faces, score_threshold=threshold)
    assert found.label == label


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["a", "b", "c"]}, r"expected probabilities \(-1, 3\)"),
        ({"points": None}, "input resize align: expected align, with five points"),
        ({"resize": "stretch"}, "input resize stretch: expected align"),
    ],
)
def test_contracts_that_do_not_fit(
    classifier: FaceClassifier, changes: dict[str, Any], message: str
) -> None:
    contract = classifier.contract
    if "labels" in changes:
        contract = contract.model_copy(update={"rules": {**contract.rules, **changes}})
    else:
        spec = contract.input.model_copy(update=changes)
        contract = contract.model_copy(update={"input": spec})
    with pytest.raises(ContractError, match=message):
        check_fit(contract, classifier.session, source="file")


def test_classification_is_public() -> None:
    found = Classification("glass", 1, 0.9, np.array([0.1, 0.9], np.float32))
    assert (found.label, found.score) == ("glass", 0.9)


@pytest.mark.parametrize(
    ("faces", "what"),
    [
        (5, r"of type int: expected a list of them"),
        ([None], r"None: expected an array, uint8 \(80, 80, 3\)"),
        ([np.zeros((80, 80, 3))], r"float64 \(80, 80, 3\): expected uint8"),
    ],
)
def test_faces_that_are_none(classifier: FaceClassifier, faces: Any, what: str) -> None:
    with pytest.raises(InputError, match=f"^a face is {what}"):
        classifier.classify(faces)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_no_faces_at_once(classifier: FaceClassifier, batch_size: int) -> None:
    expected = f"batch_size {batch_size}: expected a whole number, 1 or more"
    with pytest.raises(InputError, match=expected):
        classifier.predict(HOPPER, np.zeros((1, 5, 2)), batch_size=batch_size)
