"""The service hides and finds faces, from the client's side."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sent_photos import HOPPER, encode, hopper, png_of_zeros
from service_client import BOUNDARY, PATH, ask, form, running

import pocketface
from pocketface.apps.blur.photo import SUFFIXES
from pocketface.apps.service.detect import MEDIA_TYPES
from pocketface.tasks.weights import model_file

from ..colour_model import write_colour_model

BLUR, DETECT = "/blur/", "/detect/"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    segmenter = write_colour_model(tmp_path_factory.mktemp("colour") / "model.onnx", "face")
    with running(segmenter) as port:
        yield port


@pytest.fixture(scope="module")
def alone() -> Iterator[int]:
    """A service without a segmenter."""
    with running() as port:
        yield port


@pytest.fixture(scope="module")
def detector() -> Any:
    return pocketface.load(model_file("face-detection-n", None), threads=1)


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def changed(before: Image.Image, after: Image.Image) -> np.ndarray[Any, np.dtype[np.bool_]]:
    pair = [np.asarray(one.convert("RGB"), np.int16) for one in (before, after)]
    return np.abs(pair[0] - pair[1]).max(axis=2) > 40


@pytest.mark.parametrize("style", ["mosaic", "gaussian", "solid", "emoji"])
@pytest.mark.parametrize("shape", ["ellipse", "box"])
def test_a_face_is_hidden(port: int, style: str, shape: str, detector: Any) -> None:
    photo = hopper()
    query = f"?style={style}&shape={shape}&grow=1.3"
    status, content, headers = ask(port, BLUR + query, form(encode(photo, "png")))
    assert (status, headers["content-type"], headers["x-faces-hidden"]) == (200, "image/png", "1")
    after = opened(content)
    (box,) = detector.predict(np.asarray(photo)[..., ::-1], score_threshold=0.5).boxes
    left, top, right, bottom = box.astype(int)
    inside = changed(photo, after)[top:bottom, left:right]
    assert inside.mean() > 0.2
    assert not changed(photo, after)[: top - 60].any()  # all else is as it was
    if style == "solid":
        assert not np.asarray(after)[(top + bottom) // 2, (left + right) // 2].any()


def test_the_mask_of_a_face(port: int, alone: int) -> None:
    photo = form(HOPPER.read_bytes())
    status, _, headers = ask(port, f"{BLUR}?shape=mask", photo)
    assert (status, headers["x-faces-hidden"]) == (200, "1")
    status, content, _ = ask(alone, f"{BLUR}?shape=mask", photo)
    assert (status, b"needs a service with --segmenter" in content) == (400, True)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
def test_a_photo_keeps_its_format_and_loses_its_metadata(port: int, kind: str) -> None:
    options: dict[str, Any] = {}
    if kind in ("JPEG", "PNG", "WEBP"):
        exif = Image.Exif()
        exif[0x010F] = "A camera of somebody's"
        exif[0x0112] = 6  # turned by a quarter
        options["exif"] = exif
    blank = Image.new("RGB", (96, 64), (10, 120, 200))
    status, content, headers = ask(port, BLUR, form(encode(blank, kind, **options)))
    assert (status, headers["x-faces-hidden"]) == (200, "0")
    assert headers["content-type"] == MEDIA_TYPES[SUFFIXES[kind]]
    after = opened(content)
    assert (after.format, after.size) == (kind, (64, 96) if options else (96, 64))
    assert b"somebody" not in content
    assert not dict(after.getexif()).get(0x010F)


def test_every_format_has_a_media_type() -> None:
    assert set(MEDIA_TYPES) == set(SUFFIXES.values())


def test_an_animation_stays_one(port: int) -> None:
    faces = hopper().resize((256, 300))
    frames = [faces, faces.rotate(2), faces.rotate(4)]
    content = encode(frames[0], "webp", save_all=True, append_images=frames[1:], duration=90)
    status, made, headers = ask(port, BLUR, form(content))
    assert (status, headers["content-type"]) == (200, "image/webp")
    assert int(headers["x-faces-hidden"]) >= 3
    assert getattr(opened(made), "n_frames", 1) == 3


def test_a_long_animation_is_refused() -> None:
    frames = [Image.new("RGB", (8, 8), (40 * shade, 0, 0)) for shade in range(6)]
    content = encode(frames[0], "gif", save_all=True, append_images=frames[1:])
    with running(frames=5) as port:
        status, said, _ = ask(port, BLUR, form(content))
        assert (status, json.loads(said)["detail"]) == (413, "image: 6 frames, expected at most 5")
        assert ask(port, BLUR, form(HOPPER.read_bytes()))[0] == 200


def test_faces_and_points(port: int, detector: Any) -> None:
    status, content, _ = ask(port, DETECT, form(HOPPER.read_bytes()))
    answer = json.loads(content)
    assert (status, answer["width"], answer["height"]) == (200, 512, 600)
    (face,) = answer["faces"]
    (expected,) = detector.predict(HOPPER.read_bytes(), score_threshold=0.5).landmarks
    assert np.abs(np.array(face["landmarks"]) - expected).max() < 3
    status, content, _ = ask(port, DETECT, form(encode(Image.new("RGB", (30, 20)), "png")))
    assert (status, json.loads(content)["faces"]) == (200, [])


def test_the_lowest_score(port: int) -> None:
    photo = form(HOPPER.read_bytes())
    (face,) = json.loads(ask(port, DETECT, photo)[1])["faces"]
    above = min(1.0, face["score"] + 0.01)
    assert json.loads(ask(port, f"{DETECT}?score={above}", photo)[1])["faces"] == []
    assert ask(port, f"{BLUR}?score={above}", photo)[2]["x-faces-hidden"] == "0"
    assert ask(port, BLUR, photo)[2]["x-faces-hidden"] == "1"  # the other request left no trace


def test_small_faces_of_large_photos_have_that_score_too(port: int) -> None:
    canvas = Image.new("RGB", (2400, 1200), (128, 128, 128))
    canvas.paste(hopper().resize((64, 75)), (1100, 500))
    photo = form(encode(canvas, "png"))
    (face,) = json.loads(ask(port, f"{DETECT}?score=0.2", photo)[1])["faces"]
    above = min(1.0, face["score"] + 0.01)
    assert json.loads(ask(port, f"{DETECT}?score={above}", photo)[1])["faces"] == []


@pytest.mark.parametrize(
    ("path", "content", "status", "says"),
    [
        (f"{BLUR}?style=nice", b"x", 400, "style: Input should be 'mosaic', 'gaussian'"),
        (f"{BLUR}?style=replace", b"x", 400, "found 'replace'"),
        (f"{BLUR}?shape=star", b"x", 400, "shape: Input should be"),
        (f"{BLUR}?grow=0.5", b"x", 400, "grow: Input should be greater than or equal to 1"),
        (f"{BLUR}?grow=nan", b"x", 400, "grow: "),
        (f"{BLUR}?score=2", b"x", 400, "score: Input should be less than or equal to 1"),
        (f"{DETECT}?score=-1", b"x", 400, "score: "),
        (BLUR, b"Dear all", 415, "not an image"),
        (BLUR, HOPPER.read_bytes()[:5000], 415, "cut-off"),
        (BLUR, png_of_zeros(8001, 8000), 413, "8001 x 8000"),
        (BLUR, bytes(10_000_000), 413, "larger than 10 MB"),
        (DETECT, b"Dear all", 415, "not an image"),
    ],
)
def test_refusals(port: int, path: str, content: bytes, status: int, says: str) -> None:
    found, answer, headers = ask(port, path, form(content))
    assert (found, says in json.loads(answer)["detail"]) == (status, True), answer
    assert "x-faces-hidden" not in headers


@pytest.mark.parametrize(
    ("path", "known"),
    [
        (BLUR, "some of style, shape, grow, score"),
        (DETECT, "some of score"),
        (PATH, "some of details"),
        ("/segment/", "some of as"),
    ],
)
def test_an_unknown_key_in_the_query_is_named(port: int, path: str, known: str) -> None:
    status, answer, _ = ask(port, f"{path}?gorw=2", form(HOPPER.read_bytes()))
    says = f"'gorw': unknown key in the query: expected {known}"
    assert (status, json.loads(answer)["detail"]) == (422, says)


def test_a_key_that_is_there_twice(port: int) -> None:
    status, answer, _ = ask(port, f"{BLUR}?grow=3&style=solid&grow=1", form(HOPPER.read_bytes()))
    says = "'grow': is there twice in the query: expected one"
    assert (status, json.loads(answer)["detail"]) == (422, says)
    assert ask(port, "/?from=a-link")[0] == 200


def test_what_belongs_into_the_query_is_not_ignored_in_the_form(port: int) -> None:
    whole = form(HOPPER.read_bytes())
    end = whole.rindex(b"--" + BOUNDARY)
    for name, code in ((b"style", 422), (b"sent", 200)):
        head = b'Content-Disposition: form-data; name="%b"\r\n\r\nsolid\r\n' % name
        body = whole[:end] + b"--%b\r\n" % BOUNDARY + head + whole[end:]
        status, answer, _ = ask(port, BLUR, body)
        assert status == code
        assert (b"'style': is a key of the query" in answer) == (code == 422)


def test_the_description(port: int) -> None:
    paths = json.loads(ask(port, "/openapi.json")[1])["paths"]
    blur = paths[BLUR]["post"]
    assert set(blur["responses"]) == {"200", "400", "408", "413", "415", "422", "503"}
    assert set(blur["responses"]["200"]["content"]) == {"image/*"}
    assert [one["name"] for one in blur["parameters"]] == ["style", "shape", "grow", "score"]
    assert paths[DETECT]["post"]["parameters"][0]["name"] == "score"
