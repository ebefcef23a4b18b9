"""The service's answers about masks, from the client's side."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from sent_photos import ASTRONAUT, HOPPER, encode, hopper, png_of_zeros
from service_client import FORM, PATH, form, get, post, running

import pocketface
from pocketface.apps.service.app import Settings, make_app
from pocketface.apps.service.segment import Masks
from pocketface.data.images import decode_image
from pocketface.errors import UserError
from pocketface.mask import Mask
from pocketface.models.weights import write_weights
from pocketface.tasks.weights import model_file, open_weights

from ..colour_model import write_colour_model

SEGMENT = "/segment/"


@pytest.fixture(scope="module", params=[("face",), ("background", "face", "glasses")], ids=len)
def segmenter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colour_model(tmp_path_factory.mktemp("colour") / "model.onnx", *request.param)


@pytest.fixture(scope="module")
def port(segmenter: Path) -> Iterator[int]:
    with running(segmenter) as port:
        yield port


@pytest.fixture(scope="module")
def two() -> bytes:
    """A photo of two people."""
    both = Image.new("RGB", (1024, 600))
    both.paste(Image.open(ASTRONAUT).convert("RGB"), (0, 0))
    both.paste(hopper(), (512, 0))
    return encode(both, "png")


@pytest.fixture(scope="module")
def expected(segmenter: Path, two: bytes) -> list[Mask]:
    """What Python makes of the photo."""
    detector = pocketface.load(model_file("face-detection-n", None), threads=1)
    pixels = decode_image(two, source="two")
    faces = detector.predict(pixels, score_threshold=0.5)
    masks: list[Mask] = pocketface.load(segmenter).predict(pixels, faces.landmarks)
    assert len(masks) == 2
    assert all(mask.area > 1000 for mask in masks)
    return masks


def picture(port: int, photo: bytes, form_: str) -> np.ndarray[Any, Any]:
    """The pixels of a PNG that the service answers with."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", f"{SEGMENT}?as={form_}", form(photo), {"Content-Type": FORM})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    assert (response.status, response.getheader("Content-Type")) == (200, "image/png")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


def test_masks_are_those_of_python(port: int, two: bytes, expected: list[Mask]) -> None:
    status, answer, headers = post(port, form(two), path=SEGMENT)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert len(Masks.model_validate(answer).faces) == 2
    assert [face["mask"] for face in answer["faces"]] == [mask.to_dict() for mask in expected]
    found = [Mask.from_dict(face["mask"]) for face in answer["faces"]]
    for face, mask, wanted in zip(answer["faces"], found, expected, strict=True):
        np.testing.assert_array_equal(mask.mask, wanted.mask)
        left, top, right, bottom = face["box"]
        assert 0 < left < right < 1024
        assert 0 < top < bottom < 600
        assert face["score"] > 0.5
    assert not (found[0].mask & found[1].mask).any()


def test_masks_as_a_grey_picture(port: int, two: bytes, expected: list[Mask]) -> None:
    found = picture(port, two, "mask")
    wanted = np.zeros((600, 1024), np.uint8)
    for mask in expected:
        for number, name in enumerate(mask.named, 1):
            wanted[mask.of(name)] = number if len(mask.named) > 1 else 255
    np.testing.assert_array_equal(found, wanted)


def test_faces_cut_out(port: int, two: bytes, expected: list[Mask]) -> None:
    """All of them, each pixel as opaque as in its own mask; with the photo's own colours."""
    found = picture(port, two, "cutout")
    assert found.shape == (600, 1024, 4)
    opaque = np.zeros((600, 1024), np.uint8)
    for mask in expected:
        soft = (mask.softness() * 255).round().astype(np.uint8)
        opaque[mask.place] = np.maximum(opaque[mask.place], soft)
    np.testing.assert_array_equal(found[..., 3], opaque)
    photo = decode_image(two, source="two")
    np.testing.assert_array_equal(found[..., :3], photo * (opaque > 0)[..., None])


def test_masks_drawn_into_the_photo(port: int, two: bytes, expected: list[Mask]) -> None:
    found = picture(port, two, "overlay")
    photo = decode_image(two, source="two")
    assert found.shape == photo.shape
    changed = (found != photo).any(axis=2)
    inside = expected[0].mask | expected[1].mask
    assert changed[inside].mean() > 0.99
    assert changed[:, :10].sum() == 0


def test_the_guides_client(port: int, two: bytes, expected: list[Mask]) -> None:
    guide = Path(pocketface.__file__).parent / "docs/guide/serve.md"
    code = guide.read_text(encoding="utf-8").split("```python")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    found = names["masks_of"](two, f"http://127.0.0.1:{port}{SEGMENT}")
    np.testing.assert_array_equal(found, [mask.mask for mask in expected])


def test_a_turned_photo(port: int) -> None:
    """A mask is of the photo as viewers show it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = encode(hopper().transpose(Image.Transpose.ROTATE_90), "png", exif=exif)
    upright = picture(port, encode(hopper(), "png"), "mask")
    assert upright.shape == (600, 512)
    np.testing.assert_array_equal(picture(port, lying, "mask"), upright)


@pytest.mark.parametrize(
    ("query", "content", "status", "says"),
    [
        ("", encode(Image.new("RGB", (30, 20)), "png"), 422, "no face found in the photo of 30 x"),
        ("?as=mask", encode(Image.new("RGB", (30, 20)), "png"), 422, "no face found"),
        ("?as=gif", b"x", 400, "as: Input should be 'mask', 'overlay', 'cutout' or 'json', found"),
        ("?as=mask", b"Dear all", 415, "expected JPEG"),
        ("?as=cutout", png_of_zeros(8001, 8000), 413, "8001 x 8000"),
        ("", bytes(10_000_000), 413, "larger than 10 MB"),
    ],
)
def test_refusals(query: str, content: bytes, status: int, says: str, port: int) -> None:
    found, answer, _ = post(port, form(content), path=SEGMENT + query)
    assert (found, says in answer["detail"]) == (status, True), answer


def test_its_description(port: int) -> None:
    _, schema = get(port, "/openapi.json")
    described = json.loads(schema)
    posts = {path for path, said in described["paths"].items() if "post" in said}
    assert posts == {PATH, SEGMENT, "/detect/", "/blur/"}
    mine = described["paths"][SEGMENT]["post"]
    assert set(mine["responses"]) == {"200", "400", "408", "413", "415", "422", "503"}
    assert set(mine["responses"]["200"]["content"]) == {"application/json", "image/png"}
    (parameter,) = mine["parameters"]
    assert (parameter["name"], parameter["schema"]["default"]) == ("as", "json")
    assert set(mine["requestBody"]["content"]) == {"multipart/form-data"}
    assert "face-detection-n, glasses-n, segmenter" in described["info"]["description"]
    assert get(port, SEGMENT)[0] == 405


def test_faces_are_labelled_as_without_masks(port: int) -> None:
    assert post(port, form(HOPPER.read_bytes()))[1] == {"answer": "glass"}


def test_without_a_segmenter_there_are_no_masks() -> None:
    with running() as port:
        assert post(port, form(HOPPER.read_bytes()), path=SEGMENT)[0] == 404


def test_a_classifier_cannot_have_its_address(tmp_path: Path) -> None:
    segmenter = write_colour_model(tmp_path / "model.onnx")
    read = open_weights("glasses-n", None)
    classifier = tmp_path / "weights.safetensors"
    write_weights(
        classifier,
        template_text=read.template_text.replace("endpoint: glass_no_glass", "endpoint: segment"),
        state_dict=read.state_dict,
        epochs=1,
        data="none",
        seed=0,
    )
    detector = model_file("face-detection-n", None)
    settings = Settings(classifier=classifier, detector=detector, segmenter=segmenter)
    with pytest.raises(UserError, match=r"weights\.safetensors: its endpoint is segment"):
        make_app(settings)
