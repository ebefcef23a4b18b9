"""The service's answers about people, from the client's side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sent_photos import HOPPER, encode, png_of_zeros
from service_client import PATH, form, get, post, running

import pocketface
from pocketface.apps.service.app import Settings, make_app
from pocketface.apps.service.recognize import Comparison, Identified, RecognitionSettings
from pocketface.errors import UserError
from pocketface.models.weights import write_weights
from pocketface.tasks.weights import model_file, open_weights

from ..pixel_recognizer import (
    MEASURED,
    landmarks_of,
    write_detector,
    write_photo,
    write_recognizer,
)

COMPARE, IDENTIFY = "/compare/", "/identify/"
ANNA, BERT, CARL = 1, 2, 3


@dataclass(frozen=True)
class Place:
    """A service's port and its files."""

    port: int
    folder: Path

    def photo(self, *people: int, blur: float = 0, is_bright: bool = True) -> bytes:
        """A photo of some people, as a client sends it."""
        path = self.folder / f"{'-'.join(map(str, people))}-{blur}.png"
        write_photo(path, *people, blur=blur, is_bright=is_bright)
        return path.read_bytes()

    def cosine(self, one: bytes, other: bytes) -> float:
        """What Python says of the first faces of two photos."""
        model = pocketface.load(self.folder / "pixels.onnx")
        points = np.float32([landmarks_of(0)])
        first, second = (model.predict(photo, points)[0] for photo in (one, other))
        return float(first.similarity(second))

    def compare(self, *photos: bytes) -> Any:
        """What the service says of photos, checked against its own description."""
        status, answer, _ = post(self.port, form(*photos), path=COMPARE)
        assert status == 200, answer
        Comparison.model_validate(answer)
        return answer


def make(folder: Path) -> Path:
    """A recogniser, detectors, and a gallery of Anna and Bert."""
    write_recognizer(folder / "pixels.onnx", **MEASURED)
    write_recognizer(folder / "plain.onnx")
    write_recognizer(folder / "other.onnx", name="other", **MEASURED)
    write_detector(folder / "two.onnx", 40, 36)  # the best is not the largest
    model = pocketface.load(folder / "pixels.onnx")
    assert isinstance(model, pocketface.FaceRecognizer)
    gallery = pocketface.Gallery.open(folder / "a.gallery", model)
    for name, person in (("Anna", ANNA), ("Bert\udcff Ж", BERT)):
        write_photo(folder / "one.png", person)
        (embedding,) = model.predict(str(folder / "one.png"), np.float32([landmarks_of(0)]))
        gallery.add(name, embedding)
    gallery.save()
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = make(tmp_path_factory.mktemp("people"))
    asked = RecognitionSettings(
        recognizer=folder / "pixels.onnx", gallery=folder / "a.gallery", max_fmr=0.001
    )
    with running(recognition=asked, detector=folder / "two.onnx") as port:
        yield Place(port, folder)


def test_two_photos_are_compared_as_in_python(place: Place) -> None:
    one, same = place.photo(ANNA, CARL), place.photo(ANNA, BERT, blur=0.1)
    answer = place.compare(one, same)
    assert answer["answer"] == "yes"
    assert answer["similarity"] == pytest.approx(place.cosine(one, same), abs=1e-4)
    assert answer["probability"] == pytest.approx(
        1 / (1 + np.exp(7 - 10 * answer["similarity"])), abs=1e-3
    )
    assert answer["reference"]["box"] == [15.0, 20.0, 55.0, 60.0]
    assert answer["reference_faces"] == 2
    found = {face["box"][0]: face for face in answer["faces"]}
    assert (found[15]["answer"], found[65]["answer"]) == ("yes", "no")
    assert found[15]["similarity"] == answer["similarity"] > found[65]["similarity"]
    assert not found[15]["small"]
    assert 0.8 < found[15]["score"] < 1


def test_it_may_be_unsure_or_no(place: Place) -> None:
    one = place.photo(ANNA, CARL)
    assert place.compare(one, place.photo(ANNA, BERT, blur=0.5))["answer"] == "unsure"
    assert place.compare(one, place.photo(BERT, BERT))["answer"] == "no"


def test_a_face_that_is_too_small_is_unsure(place: Place, tmp_path: Path) -> None:
    write_detector(tmp_path / "tiny.onnx", 20)
    asked = RecognitionSettings(recognizer=place.folder / "pixels.onnx")
    with running(recognition=asked, detector=tmp_path / "tiny.onnx") as port:
        photo = place.photo(ANNA, ANNA)
        answer = Place(port, place.folder).compare(photo, photo)
        assert (answer["answer"], answer["faces"][0]["small"]) == ("unsure", True)
        assert answer["similarity"] == 1
        assert answer["probability"] is answer["faces"][0]["probability"] is None
        # Without a gallery nobody is known.
        assert post(port, form(photo), path=IDENTIFY)[0] == 404


def test_people_of_the_gallery_are_known(place: Place) -> None:
    status, answer, _ = post(place.port, form(place.photo(BERT, CARL, blur=0.1)), path=IDENTIFY)
    assert status == 200
    Identified.model_validate(answer)
    found = {face["box"][0]: face for face in answer["faces"]}
    assert (found[15]["answer"], found[15]["name"]) == ("known", "Bert? Ж")
    assert (found[65]["answer"], found[65]["name"]) == ("unknown", None)
    assert 0.8 < found[15]["similarity"] <= 1
    assert 0 < found[15]["probability"] < 1


@pytest.mark.parametrize(
    ("path", "photos", "status", "says"),
    [
        (COMPARE, 1, 400, "expected two files in the field image: send a form with two photos, as"),
        (COMPARE, 3, 400, "Too many files. Maximum number of files is 2: send a form with two"),
        (IDENTIFY, 2, 400, "Too many files. Maximum number of files is 1: send a form with a"),
    ],
)
def test_the_number_of_photos(path: str, photos: int, status: int, says: str, place: Place) -> None:
    found, answer, _ = post(place.port, form(*[place.photo(ANNA)] * photos), path=path)
    assert (found, says in answer["detail"]) == (status, True), answer


DARK = encode(Image.new("RGB", (30, 20)), "png")


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (DARK, 422, "no face found in the {} photo of 30 x 20 pixels"),
        (b"Dear all", 415, "{} photo: "),
        (png_of_zeros(8001, 8000), 413, "{} photo: 8001 x 8000"),
        (bytes(10_000_000), 413, "the body is larger than 10 MB"),
    ],
    ids=["dark", "text", "large", "body"],
)
def test_which_photo_is_refused(
    content: bytes, status: int, says: str, second: bool, place: Place
) -> None:
    photos = [content, place.photo(ANNA)]
    found, answer, _ = post(place.port, form(*photos[:: -1 if second else 1]), path=COMPARE)
    says = says.format("second" if second else "first")
    assert (found, says in answer["detail"]) == (status, True), answer
    if status == 422:
        assert answer["answer"] == "no_face"
        assert post(place.port, form(content), path=IDENTIFY)[:2] == (
            422,
            {"answer": "no_face", "detail": "no face found in the photo of 30 x 20 pixels"},
        )


def test_its_description(place: Place) -> None:
    _, schema = get(place.port, "/openapi.json")
    described = json.loads(schema)
    posts = {path for path, said in described["paths"].items() if "post" in said}
    assert posts == {PATH, COMPARE, IDENTIFY, "/detect/", "/blur/"}
    for path in (COMPARE, IDENTIFY):
        mine = described["paths"][path]["post"]
        assert "no liveness detection" in mine["description"]
        assert set(mine["responses"]) == {"200", "400", "408", "413", "415", "422", "503"}
        assert get(place.port, path)[0] == 405
    form_of = described["paths"][COMPARE]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert form_of["schema"]["properties"]["image"]["minItems"] == 2
    assert "no liveness detection" in described["info"]["description"]
    assert "pixels" in described["info"]["description"]


def test_a_service_that_recognises_nobody() -> None:
    with running() as port:
        assert post(port, form(HOPPER.read_bytes()), path=COMPARE)[0] == 404
        described = json.loads(get(port, "/openapi.json")[1])
        assert "liveness" not in described["info"]["description"]


@pytest.mark.parametrize(
    ("recognizer", "gallery", "max_fmr", "says"),
    [
        ("plain.onnx", None, 0.001, "plain.onnx: its thresholds were never measured"),
        ("two.onnx", None, 0.001, "two.onnx: is for face-detection; expected a face recogniser"),
        ("other.onnx", "a.gallery", 0.001, "a.gallery: its embeddings are of pixels"),
        ("pixels.onnx", "gone.gallery", 0.001, "gone.gallery: no such gallery"),
        ("pixels.onnx", None, 1e-6, "--max-fmr 1e-06: expected 0.001"),
    ],
)
def test_what_does_not_start(
    recognizer: str, gallery: str | None, max_fmr: float, says: str, place: Place
) -> None:
    with (
        pytest.raises(UserError, match=says),
        running(
            detector=place.folder / "two.onnx",
            recognition=RecognitionSettings(
                recognizer=place.folder / recognizer,
                gallery=None if gallery is None else place.folder / gallery,
                max_fmr=max_fmr,
            ),
        ),
    ):
        pass


@pytest.mark.parametrize("name", ["compare", "identify"])
def test_a_classifier_cannot_have_its_address(name: str, place: Place, tmp_path: Path) -> None:
    read = open_weights("glasses-n", None)
    classifier = tmp_path / "weights.safetensors"
    own = f"endpoint: {name}"
    write_weights(
        classifier,
        template_text=read.template_text.replace("endpoint: glass_no_glass", own),
        state_dict=read.state_dict,
        epochs=1,
        data="none",
        seed=0,
    )
    settings = Settings(
        classifier=classifier,
        detector=model_file("face-detection-n", None),
        recognition=RecognitionSettings(
            recognizer=place.folder / "pixels.onnx", gallery=place.folder / "a.gallery"
        ),
    )
    with pytest.raises(UserError, match=rf"weights\.safetensors: its endpoint is {name}"):
        make_app(settings)
