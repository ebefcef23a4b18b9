"""What those who run the service see of it: health, figures, ids, tokens, certificates."""

from __future__ import annotations

import http.client
import json
import logging
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sent_photos import HOPPER, encode
from service_client import FORM, PATH, ask, form, running

from pocketface.apps.classify import PhotoClassifier
from pocketface.apps.service import observed
from pocketface.apps.service.tls import Tls
from pocketface.apps.service.token import read_token
from pocketface.errors import UserError

TOKEN = "a-token.of~twenty+9/"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running() as port:
        yield port


@pytest.fixture(scope="module")
def guarded() -> Iterator[int]:
    with running(token=TOKEN) as port:
        yield port


def figures(port: int, **headers: str) -> dict[str, float]:
    status, text, said = ask(port, "/metrics", **headers)
    assert (status, said["content-type"].split(";")[0]) == (200, "text/plain")
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {key: float(value) for key, value in (line.rsplit(" ", 1) for line in lines)}


def test_health_and_metadata(port: int) -> None:
    for path, key in (("live", "live"), ("ready", "ready")):
        assert ask(port, f"/v2/health/{path}")[:2] == (200, f'{{"{key}":true}}'.encode())
    assert json.loads(ask(port, "/v2")[1])["name"] == "pocketface"
    status, content, _ = ask(port, "/v2/models/face-detection-n")
    said = json.loads(content)
    assert (status, said["name"], said["versions"]) == (200, "face-detection-n", ["1"])
    (image,) = said["inputs"]
    assert (image["name"], image["datatype"], image["shape"][-2:]) == ("image", "FP32", [640, 640])
    assert {one["name"] for one in said["outputs"]} == {"boxes", "scores", "landmarks"}
    content = ask(port, "/v2/models/glasses-n/ready")[1]
    assert json.loads(content) == {"name": "glasses-n", "ready": True}
    for path in ("/v2/models/none", "/v2/models/none/ready"):
        status, content, _ = ask(port, path)
        assert (status, "face-detection-n" in json.loads(content)["error"]) == (404, True)


def test_figures_count_requests_photos_and_faces() -> None:
    with running() as port:
        blank = form(encode(Image.new("RGB", (30, 20)), "png"))
        photo = form(HOPPER.read_bytes(), name="secret-name.jpg")
        assert ask(port, PATH, photo)[0] == 200
        assert ask(port, PATH, blank)[0] == 422
        assert ask(port, "/detect/?score=0.5", photo)[0] == 200
        assert ask(port, "/blur/?style=nice", photo)[0] == 400
        for path in ("/secret-path", "/v2/models/secret-model", "http://secret/ping/"):
            ask(port, path)
        found = figures(port)
        requests = {key: value for key, value in found.items() if key.startswith("pocketface_req")}
        for endpoint, code in ((PATH, 200), (PATH, 422), ("/detect/", 200), ("/blur/", 400)):
            key = f'pocketface_requests_total{{code="{code}",endpoint="{endpoint}"}}'
            assert requests[key] == 1, key
        assert requests['pocketface_requests_total{code="404",endpoint="other"}'] == 1
        model = 'pocketface_requests_total{code="404",endpoint="/v2/models/{name}"}'
        assert requests[model] == 1
        assert found[f'pocketface_photos_total{{endpoint="{PATH}"}}'] == 2
        assert found[f'pocketface_faces_total{{endpoint="{PATH}"}}'] == 1
        assert found['pocketface_faces_total{endpoint="/detect/"}'] == 1
        seconds = 'pocketface_request_seconds_bucket{endpoint="/detect/",le="+Inf"}'
        assert found[seconds] == 1
        assert found["pocketface_requests_at_work"] == found["pocketface_requests_waiting"] == 0
        assert b"secret" not in ask(port, "/metrics")[1]


def test_the_queue_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from threading import Event

    go, begun = Event(), Event()
    real = PhotoClassifier.answer

    def slow(self: PhotoClassifier, images: Any) -> Any:
        if images[0].shape != (64, 64, 3):  # the first run
            begun.set()
            assert go.wait(20)
        return real(self, images)

    monkeypatch.setattr(PhotoClassifier, "answer", slow)
    photo = form(HOPPER.read_bytes())
    with running(at_work=1) as port, ThreadPoolExecutor(3) as clients:
        sent = [clients.submit(ask, port, PATH, photo) for _ in range(3)]
        try:
            assert begun.wait(20)
            for _ in range(200):
                found = figures(port)
                if found["pocketface_requests_waiting"] == 2:
                    break
            assert found["pocketface_requests_at_work"] == 1
            assert found["pocketface_requests_waiting"] == 2
        finally:
            go.set()
        assert [one.result()[0] for one in sent] == [200] * 3


def test_two_services_count_apart(port: int) -> None:
    with running() as other:
        ask(other, "/v2")
        asked = 'pocketface_requests_total{code="200",endpoint="/v2"}'
        assert figures(other)[asked] == 1
        before = figures(port).get(asked, 0)
        ask(other, "/v2")
        assert figures(port).get(asked, 0) == before


@pytest.mark.parametrize("given", ["abc-1.2_X", "", "two words", "x" * 129, "ä", "a\tb"])
def test_request_ids(port: int, given: str, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger(observed.__name__)
    logger.addHandler(caplog.handler)
    try:
        _, _, headers = ask(port, "/ping/?who=somebody", **{"X-Request-Id": given})
        for _ in range(500):  # it is logged once the answer is sent
            if any(one.name == observed.__name__ for one in caplog.records):
                break
            time.sleep(0.01)
    finally:
        logger.removeHandler(caplog.handler)
    own = headers["x-request-id"]
    assert own == given if given == "abc-1.2_X" else re.fullmatch(r"[0-9a-f]{32}", own)
    (line,) = [one.getMessage() for one in caplog.records if one.name == observed.__name__]
    assert re.fullmatch(rf"{re.escape(own)} GET /ping/ 200 \d+\.\d+ s", line)


def test_a_failure_is_answered_and_logged_by_its_id(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with running() as port:

        def broken(*_: Any) -> Any:
            raise RuntimeError("the network melted")

        monkeypatch.setattr(PhotoClassifier, "answer", broken)
        status, content, headers = ask(port, PATH, form(HOPPER.read_bytes()))
        assert (status, b"melted" in content) == (500, False)
    said = capfd.readouterr().err
    assert f"{headers['x-request-id']} failed" in said
    assert said.count("\nRuntimeError: the network melted") == 1


@pytest.mark.parametrize("sent", [None, "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
@pytest.mark.parametrize("path", [PATH, "/blur/", "/detect/", "/metrics", "/v2", "/none", "//"])
def test_without_the_token(guarded: int, path: str, sent: str | None) -> None:
    headers = {} if sent is None else {"Authorization": sent}
    body = form(HOPPER.read_bytes()) if path in (PATH, "/blur/", "/detect/") else None
    status, content, said = ask(guarded, path, body, **headers)
    assert (status, "token" in json.loads(content)["detail"]) == (401, True)
    assert said["www-authenticate"].startswith('Bearer realm="pocketface"')
    assert ("invalid_token" in said["www-authenticate"]) == (sent is not None)
    assert "x-request-id" in said


def test_with_the_token(guarded: int) -> None:
    photo, known = form(HOPPER.read_bytes()), {"Authorization": f"bearer {TOKEN}"}
    assert ask(guarded, PATH, photo, **known)[:2] == (200, b'{"answer":"glass"}')
    assert figures(guarded, **known)
    for path in ("/", "/page/page.js", "/docs", "/ping/", "/v2/health/live", "/v2/health/ready"):
        assert ask(guarded, path)[0] == 200, path
    described = json.loads(ask(guarded, "/openapi.json")[1])
    assert described["security"] == [{"token": []}]
    assert "401" in described["paths"][PATH]["post"]["responses"]


def test_where_the_token_is_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    assert read_token(path, {"POCKETFACE_TOKEN": "another-token-that-is-long"}) == TOKEN
    assert read_token(None, {"POCKETFACE_TOKEN": TOKEN}) == TOKEN
    assert read_token(None, {}) is None


@pytest.mark.parametrize("text", ["", "tooFewSigns", "with a space in it, and long", "ä" * 20])
def test_what_is_no_token(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text, encoding="utf-8")
    for arguments in ((path, {}), (None, {"POCKETFACE_TOKEN": text})):
        with pytest.raises(UserError, match=r"no token of \d+ characters") as raised:
            read_token(*arguments)
        assert not text or text not in str(raised.value)
    with pytest.raises(UserError, match=r"--token-file .*none: No such file"):
        read_token(tmp_path / "none", {})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cert.pem`, `key.pem`, both in `both.pem`, and the encrypted `locked.pem`."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("tls")
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2 -subj /CN=localhost"
    names = "-addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    locked = "ec -in key.pem -aes256 -passout pass:word -out locked.pem"
    for ends in ("-nodes -keyout key.pem -out cert.pem", "-nodes -keyout other.pem -out x.pem"):
        command = [openssl, *f"{made} {names} {ends}".split()]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    command = [openssl, *locked.split()]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    both = (folder / "cert.pem").read_text() + (folder / "key.pem").read_text()
    (folder / "both.pem").write_text(both)
    return folder


def test_https(certificate: Path) -> None:
    tls = Tls(certificate / "cert.pem", certificate / "key.pem")
    trust = ssl.create_default_context(cafile=certificate / "cert.pem")
    with running(tls=tls) as port:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=trust)
        connection.request("POST", PATH, form(HOPPER.read_bytes()), {"Content-Type": FORM})
        assert connection.getresponse().read() == b'{"answer":"glass"}'
        connection.close()
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(port, "/ping/")


def test_certificates_are_checked(certificate: Path, tmp_path: Path) -> None:
    Tls(certificate / "both.pem").check()
    (tmp_path / "text.pem").write_text("Dear all")
    cases = [
        ("none.pem", "key.pem", r"--tls-cert .*none.pem: No such file"),
        ("cert.pem", "none.pem", r"--tls-key .*none.pem: No such file"),
        ("cert.pem", "other.pem", "the key is of another certificate"),
        ("cert.pem", "locked.pem", "expected a private key without a password"),
        ("cert.pem", None, "expected a certificate and its private key in PEM"),
        (tmp_path / "text.pem", "key.pem", "expected a certificate and its private key in PEM"),
        (tmp_path, "key.pem", "Is a directory"),
    ]
    for cert, key, says in cases:
        given = Tls(certificate / cert, None if key is None else certificate / key)
        with pytest.raises(UserError, match=says) as raised:
            given.check()
        assert "\n" not in str(raised.value)
