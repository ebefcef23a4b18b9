"""The service's answers, and its limits, each from the client's side."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bad_requests import STATUSES, requests
from sent_photos import ASTRONAUT, HOPPER, encode, hopper
from service_client import BOUNDARY, PATH, form, post, running

from pocketface.apps.classify import PhotoClassifier
from pocketface.apps.service import server

FORM = f"multipart/form-data; boundary={BOUNDARY.decode()}"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: here\r\nContent-Type: {FORM}\r\n".encode()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running() as port:
        yield port


def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, path)
    response = connection.getresponse()
    status, body = response.status, response.read()
    assert response.getheader("X-Content-Type-Options") == "nosniff"
    connection.close()
    return status, body


def said_before_closing(
    port: int, parts: Iterable[bytes] = (), *, every: float = 0.05, half_close: bool = False
) -> bytes:
    """Send parts, and return all that the service says until it closes the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except ConnectionError:
                break
            time.sleep(every)
        with contextlib.suppress(ConnectionError):
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            while some := connection.recv(4096):
                received += some
    return received


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


def whole(photo: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(photo), photo)


def test_who_ends_only_the_sending_side_is_answered(port: int) -> None:
    for request, answer in (
        (whole(form(HOPPER.read_bytes())), b'{"answer":"glass"}'),
        (b"GET /ping/ HTTP/1.1\r\nHost: here\r\n\r\n", b'{"status":"ok"}'),
        (HEAD + b"Content-Length: 9\r\n\r\n--", b""),
        (HEAD, b""),
    ):
        received, start = b"", time.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while some := connection.recv(4096):
                received += some
        assert received.endswith(answer)
        assert bool(received) == bool(answer)
        assert time.monotonic() - start < 5  # closed after the answer, not when it is idle


class Slow:
    """A classifier that holds every photo until it is told to go on, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[tuple[int, ...]] = []
        self.go = threading.Event()
        real = PhotoClassifier.answer

        def answer(classifier: PhotoClassifier, images: Any) -> Any:
            if images[0].shape != (64, 64, 3):  # the first run
                self.begun.append(images[0].shape)
                assert self.go.wait(20)
            return real(classifier, images)

        monkeypatch.setattr(PhotoClassifier, "answer", answer)

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.begun) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("how", ["reset", "in good order"])
def test_clients_that_left_keep_nobody_waiting(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is still there comes first, though others came before; and finds a place."""
    from PIL import Image

    slow = Slow(monkeypatch)
    photo = form(HOPPER.read_bytes())
    other = form(encode(Image.new("RGB", (30, 20)), "png"))
    with running(waiting=6) as port, ThreadPoolExecutor(2) as clients:
        first = clients.submit(post, port, photo)
        slow.wait_for(1)
        for _ in range(5):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(whole(photo))
            time.sleep(0.1)
            if how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        second = clients.submit(post, port, other)
        time.sleep(0.3)
        slow.go.set()
        assert first.result()[0] == 200
        assert second.result()[0] == 422
        assert slow.begun[1] == (20, 30, 3)
    assert len(slow.begun) == (2 if how == "reset" else 7)


def test_places_of_clients_that_left_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    photo = form(HOPPER.read_bytes())
    with running(waiting=1) as port, ThreadPoolExecutor(2) as clients:
        first = clients.submit(post, port, photo)
        slow.wait_for(1)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(whole(photo))
            time.sleep(0.2)
            assert post(port, photo)[0] == 503
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.2)
        second = clients.submit(post, port, photo)
        time.sleep(0.2)
        slow.go.set()
        assert (first.result()[0], second.result()[0]) == (200, 200)


def test_the_end_of_the_service_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A photo that is still at work when the grace is over."""
    slow = Slow(monkeypatch)
    monkeypatch.setattr(server, "_GRACE", 0.2)
    with ThreadPoolExecutor(1) as clients:
        with running() as port:
            monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
            answer = clients.submit(post_raw, port, form(HOPPER.read_bytes()))
            slow.wait_for(1)
        assert answer.result() == (503, b"the service ends")
        slow.go.set()
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert lines == ["Cancel 1 running task(s), timeout graceful shutdown exceeded"]
    assert not any(record.exc_info for record in caplog.records)


def post_raw(port: int, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", PATH, body, {"Content-Type": FORM})
        response = connection.getresponse()
        return response.status, response.read()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_malformed_requests(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each gets a documented status or a closed connection, and the service goes on.

    A part that never ends leaves Starlette's file in memory to be closed with the last reference.
    """
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    for name, content in requests():
        said = said_before_closing(port, [content], every=0, half_close=True)
        said = said.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        if said:
            assert int(said.removeprefix(b"HTTP/1.1 ")[:4]) in STATUSES, name
            assert b"\r\nx-content-type-options: nosniff\r\n" in said.lower(), name
        assert get(port, "/ping/")[0] == 200, name
    assert not [record for record in caplog.records if record.exc_info]


def test_slow_clients_are_cut() -> None:
    photo = form(HOPPER.read_bytes())
    length = b"Content-Length: %d\r\n\r\n" % len(photo)
    with running(connection_seconds=0.5, body_seconds=0.5) as port:
        assert said_before_closing(port) == b""
        assert said_before_closing(port, (HEAD[i : i + 1] for i in range(30))) == b""
        # A second head that trickles in.
        ping = b"GET /ping/ HTTP/1.1\r\nHost: here\r\n\r\n"
        again = said_before_closing(port, [ping, *(HEAD[i : i + 1] for i in range(30))])
        assert again.count(b"HTTP/1.1 ") == 1
        trickle = [photo[i : i + 1] for i in range(20)]
        slow_body = said_before_closing(port, [HEAD + length, *trickle])
        assert slow_body.startswith(b"HTTP/1.1 408 ")
        # A body that never ends: refused, and the rest of it is not waited for.
        begin = photo[:200]
        head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(begin), begin)
        parts = iter([head, *[b"1\r\n-\r\n"] * 300])
        endless = said_before_closing(port, parts)
        assert endless[:13] in (b"HTTP/1.1 408 ", b"")  # the answer may be lost on the way
        assert list(parts)
        # Who asks for much and reads nothing.
        asks = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: here\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(asks * 8)
            time.sleep(2)
            received = 0
            with contextlib.suppress(ConnectionError):
                while some := connection.recv(65536):
                    received += len(some)
        assert received < 8 * 1_000_000
        assert received % len(said_before_closing(port, [asks]))  # cut, not closed after an answer
        # Between them, others are served.
        assert post(port, photo)[0] == 200


def test_who_is_gone_holds_no_place() -> None:
    with running(waiting=0) as port:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(HEAD + b"Content-Length: 99\r\n\r\n--")
        deadline = time.monotonic() + 10
        while post(port, form(HOPPER.read_bytes()))[0] != 200:
            assert time.monotonic() < deadline


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes while there are too many is told so; when they end, others are served again."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 4)
    with running(connection_seconds=1) as port, contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert get(port, "/ping/")[0] == 503
        deadline = time.monotonic() + 10
        while get(port, "/ping/")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


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
