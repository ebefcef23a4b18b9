"""Who is surely a person of a gallery, and who may be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pocketface
from pocketface.apps.blur.request import BlurRequest, settings_digest
from pocketface.apps.blur.who import ONLY_FMR, Rule, Who, WhoRequest
from pocketface.apps.recognize_rate import MAX_FMR
from pocketface.data.images import read_image
from pocketface.errors import DataError, UserError
from pocketface.results import Detections

from ...pixel_recognizer import MEASURED, PLACES, landmarks_of, write_photo, write_recognizer

ANNA, BERT = 1, 2


@pytest.fixture
def request_of(tmp_path: Path) -> WhoRequest:
    """Anna is known."""
    path = write_recognizer(tmp_path / "pixels.onnx", **MEASURED)
    model = pocketface.load(path)
    assert isinstance(model, pocketface.FaceRecognizer)
    photo = read_image(write_photo(tmp_path / "anna.png", ANNA))
    gallery = pocketface.Gallery.open(tmp_path / "g.gallery", model)
    (embedding,) = model.predict(photo, np.array([landmarks_of(0)], np.float32))
    gallery.add("Anna", embedding)
    gallery.save()
    return WhoRequest(gallery=gallery.path, rule="except", recognizer=path)


def faces(*, turned: bool = False) -> Detections:
    """Of Anna and Bert; turned ones have their eyes together."""
    boxes = np.array([[x, y, x + 40, y + 40] for x, y in PLACES[:2]], np.float32)
    if turned:
        boxes += np.array([-20, -20, 20, 20], np.float32)  # the eyes are less apart than they were
    landmarks = np.array([landmarks_of(0), landmarks_of(1)], np.float32)
    return Detections(boxes, np.ones(2, np.float32), landmarks)


@pytest.mark.parametrize(
    ("rule", "turned", "visible"),
    [
        ("except", False, [True, False]),
        ("only", False, [False, True]),
        ("except", True, [False, False]),
        ("only", True, [False, False]),
    ],
)
def test_rules(
    rule: Rule, turned: bool, visible: list[bool], request_of: WhoRequest, tmp_path: Path
) -> None:
    photo = read_image(write_photo(tmp_path / "both.png", ANNA, BERT))
    asked = WhoRequest(
        gallery=request_of.gallery, rule=rule, recognizer=request_of.recognizer, max_fmr=0.01
    )
    who = Who(asked)
    expected = ("unsure", "unsure") if turned else ("yes", "no")
    assert who.answers(photo, faces(turned=turned)) == expected
    assert who.visible(photo, faces(turned=turned)).tolist() == visible
    assert who.visible(photo, faces()[[]]).tolist() == []


def test_a_gallery_in_memory(request_of: WhoRequest, tmp_path: Path) -> None:
    path = request_of.gallery
    assert isinstance(path, Path)
    content = path.read_bytes()
    sent = replace(request_of, gallery=content)
    requests = [
        BlurRequest(sources=(), detector=request_of.recognizer, who=one)
        for one in (request_of, sent)
    ]
    assert settings_digest(requests[0]) == settings_digest(requests[1])
    assert "Anna" not in repr(sent)
    path.unlink()
    photo = read_image(write_photo(tmp_path / "both.png", ANNA, BERT))
    assert Who(sent).answers(photo, faces()) == ("yes", "no")
    with pytest.raises(DataError, match=r"^the gallery: not a gallery, or damaged: "):
        Who(replace(sent, gallery=content[:-50]))


def test_rates(request_of: WhoRequest) -> None:
    assert request_of.rate == MAX_FMR
    only = WhoRequest(gallery=request_of.gallery, rule="only", recognizer=request_of.recognizer)
    assert only.rate == ONLY_FMR
    with pytest.raises(UserError, match="--max-fmr 2: expected a share"):
        Who(WhoRequest(gallery=only.gallery, rule="only", recognizer=only.recognizer, max_fmr=2))


def test_a_recogniser_that_was_never_measured(request_of: WhoRequest, tmp_path: Path) -> None:
    plain = write_recognizer(tmp_path / "plain.onnx")
    with pytest.raises(UserError, match="its thresholds were never measured"):
        Who(WhoRequest(gallery=request_of.gallery, rule="only", recognizer=plain))


def test_nobody_is_enrolled(request_of: WhoRequest) -> None:
    gallery = pocketface.Gallery.open(request_of.gallery)
    gallery.forget("Anna")
    gallery.save()
    with pytest.raises(DataError, match="nobody is enrolled"):
        Who(request_of)
