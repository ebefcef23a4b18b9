"""The service's answers, and its limits, each from the client's side."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sent_photos import ASTRONAUT, HOPPER, encode, hopper
from service_client import FORM, HEAD, PATH, form, get, post, running

from pocketface.apps.classify import PhotoClassifier


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running() as port:
        yield port


def test_answers_with_details(port: int) -> None:
    photo = hopper()
    both = photo.copy()
    both.paste(photo.crop((0, 0, 512, 600)).resize((256, 300)), (256, 300))
    status, answer, _ = post(port, form(HOPPER.read_bytes()), path=f"{PATH}?details=true")
    (face,) = answer["faces"]
    assert (status, answer["answer"], face["label"]) == (200, "glass", "glass")
    left, top, right, bottom = face["box"]
    assert 170 < left < 200 < 330 < right < 370
    assert 90 < top < 130 < 310 < bottom < 350
    assert face["score"] > 0.8
    assert face["label_score"] > 0.8
    assert post(port, form(HOPPER.read_bytes()))[1] == {"answer": "glass"}
    assert post(port, form(ASTRONAUT.read_bytes()))[1] == {"answer": "no_glass"}


def test_one_with_glasses_among_several(port: int) -> None:
    from PIL import Image

    two = Image.new("RGB", (1024, 600))
    two.paste(Image.open(ASTRONAUT).convert("RGB"), (0, 0))
    two.paste(hopper(), (512, 0))
    _, answer, _ = post(port, form(encode(two, "png")), path=f"{PATH}?details=true")
    assert answer["answer"] == "glass"
    assert {face["label"] for face in answer["faces"]} == {"glass", "no_glass"}


def test_no_face_is_named(port: int) -> None:
    from PIL import Image

    status, answer, _ = post(port, form(encode(Image.new("RGB", (30, 20)), "png")))
    assert status == 422
    assert answer == {
        "answer": "no_face",
        "detail": "no face found in the photo of 30 x 20 pixels",
    }


def test_pages(port: int) -> None:
    assert get(port, "/ping/") == (200, b'{"status":"ok"}')
    status, page = get(port, "/docs")
    assert status == 200
    assert b"://" not in page  # it works without the internet
    status, script = get(port, "/static-offline-docs/swagger-ui-bundle.js")
    assert (status, len(script) > 100_000) == (200, True)
    _, schema = get(port, "/openapi.json")
    described = json.loads(schema)["paths"][PATH]["post"]
    assert set(described["responses"]) == {"200", "400", "408", "413", "415", "422", "503"}
    (content,) = described["requestBody"]["content"].items()
    assert content[0] == "multipart/form-data"
    assert get(port, PATH)[0] == 405


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (form(b"", field="photo"), {}, 400, "expected one file in the field image"),
        (form(b"x")[:-50] + form(b"y"), {}, 400, "send a form with a photo"),
        (b"", {}, 400, "expected one file"),
        (b"--", {}, 400, "expected one file"),
        (b"nonsense", {}, 400, "Invalid multipart data"),
        (form(b"x").replace(b'; filename="photo.jpg"', b""), {}, 400, "expected one file"),
        (form(b"x").replace(b'name="image"; ', b""), {}, 400, '"name" must be provided'),
        (form(b"x"), {"Content-Type": "multipart/form-data"}, 400, "Missing boundary"),
        (
            form(b"x", name="фото"),
            {"Content-Type": f"{FORM}; charset=undefined"},
            400,
            "names cannot be read",
        ),
        (form(b"x"), {"Content-Type": "image/jpeg"}, 415, "no multipart/form-data"),
        (form(b"x"), {"Content-Type": ""}, 415, "no multipart/form-data"),
    ],
)
def test_what_is_no_form_with_a_photo(
    body: bytes, headers: dict[str, str], status: int, says: str, port: int
) -> None:
    found, answer, _ = post(port, body, **headers)
    assert (found, says in answer["detail"]) == (status, True), answer


def test_a_bad_query(port: int) -> None:
    status, answer, _ = post(port, form(b"x"), path=f"{PATH}?details=maybe")
    assert status == 400
    assert answer["detail"].startswith("details: ")
    assert answer["detail"].endswith("found 'maybe'")


def test_nothing_is_written_to_disk(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """9 MB are above what Starlette keeps in memory; a file could not be made anywhere."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OSError, match="none"):
        tempfile.mkstemp()
    photo = HOPPER.read_bytes() + bytes(9_000_000)
    assert post(port, form(photo))[0] == 200


def test_too_large_with_and_without_a_length(port: int) -> None:
    status, answer, _ = post(port, form(bytes(10_000_000)))
    assert (status, answer["detail"]) == (413, "the body is larger than 10 MB")
    body = form(bytes(12_000_000))
    chunks = (body[start : start + 65536] for start in range(0, len(body), 65536))
    assert post(port, chunks)[0] == 413
    # Refused by its length alone, before any of it was sent.
    head = HEAD + b"Content-Length: 10000001\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("path", ["/", "/docs", "/ping/", "/openapi.json", "/docs?x=1"])
def test_head_is_get_without_a_body(port: int, path: str) -> None:
    """RFC 9110, 9.1: servers must support GET and HEAD."""
    status, body = get(port, path)
    assert (status, bool(body)) == (200, True)
    assert get(port, path, "HEAD") == (200, b"")


def test_targets_with_the_host_in_them(port: int) -> None:
    """RFC 9112, 3.2.2: a server must accept the absolute form."""
    for target in (f"http://127.0.0.1:{port}/ping/", "HTTPS://elsewhere/ping/?x=1"):
        assert get(port, target) == (200, b'{"status":"ok"}')
    assert get(port, "http://elsewhere")[0] == 200
    assert get(port, "http://elsewhere/none")[0] == 404


def test_places_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 at work and 3 that wait are answered; the others are told to come back, at once."""
    at_work, most = [0], [0]
    lock, two, go = threading.Lock(), threading.Event(), threading.Event()
    real = PhotoClassifier.answer

    def slow(self: PhotoClassifier, images: Any) -> Any:
        if images[0].shape == (64, 64, 3):  # the first run
            return real(self, images)
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        if most[0] >= 2:
            two.set()
        go.wait(20)
        with lock:
            at_work[0] -= 1
        return real(self, images)

    monkeypatch.setattr(PhotoClassifier, "answer", slow)
    photo = form(HOPPER.read_bytes())
    with running(at_work=2, waiting=3) as port, ThreadPoolExecutor(12) as clients:
        answers = [clients.submit(post, port, photo) for _ in range(12)]
        while sum(answer.done() for answer in answers) < 7:
            time.sleep(0.01)
        assert get(port, "/ping/")[0] == 200
        refused = [answer.result() for answer in answers if answer.done()]
        assert [status for status, _, _ in refused] == [503] * 7
        assert {headers["retry-after"] for _, _, headers in refused} == {"1"}
        assert two.wait(20)
        go.set()
        statuses = [answer.result()[0] for answer in answers]
        assert sorted(statuses) == [200] * 5 + [503] * 7
        assert post(port, photo)[0] == 200
    assert most == [2]
