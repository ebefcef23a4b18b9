"""What odd clients get: slow ones, such as leave, and those that send no HTTP."""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bad_requests import STATUSES, requests
from sent_photos import HOPPER, encode
from service_client import FORM, HEAD, PATH, form, get, post, running, said_before_closing

from pocketface.apps.classify import PhotoClassifier
from pocketface.apps.service import app, server
from pocketface.apps.service.bounded_queue import BoundedQueue


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running() as port:
        yield port


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


def test_a_body_of_two_lengths_is_refused_and_the_connection_closed(port: int) -> None:
    body = form(HOPPER.read_bytes())
    lengths = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    ping = b"GET /ping/ HTTP/1.1\r\nHost: here\r\n\r\n"
    said = said_before_closing(port, [HEAD + lengths + chunks + ping])
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1


class Slow:
    """A classifier that holds every photo until it is told to go on, and counts them.

    It looks into the service's queue, to go on when what was sent has arrived there.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[tuple[int, ...]] = []
        self.go = threading.Event()
        self._queues: list[BoundedQueue] = []
        queues = self._queues

        class Seen(BoundedQueue):
            def __init__(self, **places: int) -> None:
                super().__init__(**places)
                queues.append(self)

        monkeypatch.setattr(app, "BoundedQueue", Seen)
        real = PhotoClassifier.answer

        def answer(classifier: PhotoClassifier, images: Any) -> Any:
            if images[0].shape != (64, 64, 3):  # the first run
                self.begun.append(images[0].shape)
                assert self.go.wait(20)
            return real(classifier, images)

        monkeypatch.setattr(PhotoClassifier, "answer", answer)

    def wait_for(self, count: int) -> None:
        """Wait until so many photos are at work, or were."""
        self._until(lambda: len(self.begun) >= count)

    def wait_for_queue(self, count: int) -> None:
        """Wait until so many requests wait for their turn."""
        self._until(lambda: len(self._queues[0]._waiting) == count)

    def wait_for_half_closed(self, count: int) -> None:
        """Wait until so many of those that wait may have left."""
        self._until(lambda: sum(one.may_have_left() for one in self._queues[0]._waiting) == count)

    @staticmethod
    def _until(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not holds():
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
        left = 0
        for _ in range(5):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(whole(photo))
            slow.wait_for_queue(left + 1)
            if how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
                slow.wait_for_queue(0)
            else:
                connection.close()
                left += 1
                slow.wait_for_half_closed(left)
        second = clients.submit(post, port, other)
        slow.wait_for_queue(left + 1)
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
            slow.wait_for_queue(1)
            assert post(port, photo)[0] == 503
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        slow.wait_for_queue(0)
        second = clients.submit(post, port, photo)
        slow.wait_for_queue(1)
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
