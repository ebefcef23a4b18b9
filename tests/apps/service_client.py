"""A service that runs for a test, and requests to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uvicorn import Server

from pocketface.apps.service.app import Settings
from pocketface.apps.service.limits import Limits
from pocketface.apps.service.recognize import RecognitionSettings
from pocketface.apps.service.server import bind, make_config
from pocketface.apps.service.tls import Tls
from pocketface.tasks.weights import model_file

BOUNDARY = b"----pocketface"
FORM = f"multipart/form-data; boundary={BOUNDARY.decode()}"
PATH = "/glass_no_glass/"
"""As the classifier's own contract says."""

HEAD = f"POST {PATH} HTTP/1.1\r\nHost: here\r\nContent-Type: {FORM}\r\n".encode()


@contextmanager
def running(
    segmenter: Path | None = None,
    *,
    recognition: RecognitionSettings | None = None,
    detector: Path | None = None,
    token: str | None = None,
    tls: Tls | None = None,
    **limits: Any,
) -> Iterator[int]:
    """The port of a service with the shipped weights, and perhaps what else it may have."""
    settings = Settings(
        classifier=model_file("glasses-n", None),
        detector=detector or model_file("face-detection-n", None),
        segmenter=segmenter,
        recognition=recognition,
        limits=Limits(**limits),
        token=token,
    )
    with bind("127.0.0.1", 0) as listening:
        config, endpoints = make_config(settings, tls=tls)
        assert endpoints == _endpoints(segmenter, recognition)
        server = Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        port = int(listening.getsockname()[1])
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield port
        finally:
            server.should_exit = True
            thread.join()


def _endpoints(segmenter: Path | None, recognition: RecognitionSettings | None) -> dict[str, int]:
    return {
        PATH: 1,
        **({"/segment/": 1} if segmenter else {}),
        **({"/compare/": 2} if recognition else {}),
        **({"/identify/": 1} if recognition and recognition.gallery else {}),
        **{"/detect/": 1, "/blur/": 1},
    }


def form(*contents: bytes, name: str = "photo.jpg", field: str = "image") -> bytes:
    """A body of multipart/form-data with files in one field (RFC 7578)."""
    disposition = f'form-data; name="{field}"; filename="{name}"'
    head = f"Content-Disposition: {disposition}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
    parts = [b"--%b\r\n%b%b\r\n" % (BOUNDARY, head, content) for content in contents]
    return b"%b--%b--\r\n" % (b"".join(parts), BOUNDARY)


def post(
    port: int, body: bytes | Iterator[bytes], *, path: str = PATH, **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, answer and headers; an iterator is sent in chunks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    kind = f"multipart/form-data; boundary={BOUNDARY.decode()}"
    try:
        connection.request("POST", path, body, {"Content-Type": kind, **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read()), dict(response.getheaders())
    finally:
        connection.close()


def ask(
    port: int, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """Status, content and headers in small letters, of GET or of a form that is posted."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        kind = {} if body is None else {"Content-Type": FORM}
        connection.request("GET" if body is None else "POST", path, body, {**kind, **headers})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return response.status, response.read(), found
    finally:
        connection.close()


def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    """Status and body of a request without a body; every answer has the header against sniffing."""
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
