"""The service's page in a headless Chromium, and the headers that protect it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sent_photos import HOPPER
from service_client import ask, running

from pocketface.apps.service import app
from pocketface.apps.service.recognize import RecognitionSettings

from ..colour_model import write_colour_model
from ..pixel_recognizer import MEASURED, write_recognizer

_WEB = Path(__file__).resolve().parents[2] / "examples/web"
_PAGE = Path(app.__file__).parent / "page"
_TOKEN = "a-token-of-twenty-4"


@pytest.fixture(scope="module")
def browse() -> Callable[..., dict[str, Any]]:
    """Calls examples/web/test/service.mjs and gives its report."""
    if not (_WEB / "node_modules/playwright-core").is_dir():
        pytest.skip("needs examples/web/node_modules (cd examples/web && npm ci)")
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("needs Chromium (Debian: apt install chromium)")

    def call(port: int, *arguments: str) -> dict[str, Any]:
        given = ("--url", f"http://127.0.0.1:{port}/", "--photo", str(HOPPER), *arguments)
        done = subprocess.run(
            [node, "test/service.mjs", "--chromium", chromium, *given],
            cwd=_WEB,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    return call


def test_every_task_in_a_browser(browse: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    recognizer = write_recognizer(tmp_path / "recognizer.onnx", **MEASURED)
    segmenter = write_colour_model(tmp_path / "segmenter.onnx", "face")
    recognition = RecognitionSettings(recognizer=recognizer)
    with running(segmenter, recognition=recognition, token=_TOKEN) as port:
        report = browse(port, "--token", _TOKEN)
        host = f"127.0.0.1:{port}"
    assert "token is needed" in report["unauthorized"]
    shown = {name.split("?")[0]: said for name, said in report["shown"].items()}
    assert len(report["tasks"]) == len(shown) == 5
    hidden = shown["The photo with its faces hidden"]
    assert (hidden["status"], hidden["picture"]) == ("Done: 1 faces hidden.", [512, 600])
    found = shown["Where are the faces of the photo"]
    assert (found["status"], found["drawn"]) == ("Done: 1 faces.", [512, 600])
    assert len(json.loads(found["answer"])["faces"][0]["landmarks"]) == 5
    assert shown["Which pixels of the photo are of its faces"]["picture"] == [512, 600]
    assert shown["Do two photos show the same person"]["status"] == "Done: yes."
    glasses = next(said for name, said in shown.items() if name.startswith("What do"))
    assert (glasses["status"], glasses["drawn"]) == ("Done: glass.", [512, 600])
    assert report["errors"] == []
    assert report["blocked"] == "connect-src"
    away = [url for url in report["requests"] if urlsplit(url).netloc != host]
    assert [url for url in away if not url.startswith(("blob:", "https://example.org/"))] == []


def test_nothing_is_inline_or_from_elsewhere() -> None:
    with running() as port:
        status, page, headers = ask(port, "/")
        assert (status, page) == (200, (_PAGE / "index.html").read_bytes())
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["referrer-policy"] == "no-referrer"
        for name in re.findall(rb'(?:href|src)="(page/[^"]+)"', page):
            status, content, headers = ask(port, "/" + name.decode())
            assert (status, content) == (200, (_PAGE / Path(name.decode()).name).read_bytes())
        for path in ("/page/../app.py", "/page/%2e%2e/app.py", "/page/", "/page/none.js"):
            assert ask(port, path)[0] == 404, path
    assert b"://" not in page
    assert not re.search(rb"<script>|<style|style=|\son\w+=", page)
