"""`pocketface serve`: its start, its end, and what keeps it from either."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from sent_photos import HOPPER
from service_client import ask, form
from uvicorn import Config

from pocketface.apps.service.server import bind, serve
from pocketface.errors import UserError

from ..colour_model import write_colour_model
from ..pixel_recognizer import MEASURED, write_recognizer

Run = Callable[..., Any]


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "pocketface", "serve", "--port", "0", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            found = re.search(r"http://\S+:\d+", said)
            assert found, process.stderr and process.stderr.read()
            yield process, found[0]
        finally:
            process.kill()


def answers(where: str) -> bytes:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urlopen(f"{where}/ping/", timeout=10) as answer:
                return answer.read()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture
def files(onnx_files: dict[str, Path]) -> tuple[str, ...]:
    """Flags of model files that a process opens soon."""
    return (
        *("--load-weights", str(onnx_files["classifier"])),
        *("--detector", str(onnx_files["detector"])),
    )


def test_runs_on_the_shipped_weights_until_ctrl_c() -> None:
    check_end((), signal.SIGINT, 0)


@pytest.mark.parametrize(
    ("arguments", "end", "code"),
    [
        ((), signal.SIGTERM, -signal.SIGTERM),
        (("--workers", "2", "--host", "localhost"), signal.SIGTERM, 0),
    ],
)
def test_runs_until_it_is_ended(
    arguments: tuple[str, ...], end: signal.Signals, code: int, files: tuple[str, ...]
) -> None:
    check_end((*files, *arguments), end, code)


def check_end(arguments: tuple[str, ...], end: signal.Signals, code: int) -> None:
    """It answers, and ends as told."""
    with serving(*arguments) as (process, where):
        assert answers(where) == b'{"status":"ok"}'
        if "--workers" in arguments:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
            assert sum(b"spawn_main" in command for command in commands) == 2
        process.send_signal(end)
        _, said = process.communicate(timeout=30)
        assert process.returncode == code
        assert "Traceback" not in said
        assert "error" not in said.lower()


def test_says_where_the_masks_are(files: tuple[str, ...], tmp_path: Path) -> None:
    segmenter = write_colour_model(tmp_path / "model.onnx")
    with serving(*files, "--segmenter", str(segmenter)) as (process, where):
        assert process.stdout is not None
        assert process.stdout.readline().endswith(f"-F image=@photo.jpg {where}/segment/\n")


def test_a_token_and_figures_of_several_processes(files: tuple[str, ...], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-twenty-4")
    with serving(*files, "--token-file", str(token), "--workers", "2") as (process, where):
        assert process.stdout is not None
        said = process.stdout.readline() + process.stdout.readline()
        assert 'curl -H "Authorization: Bearer $TOKEN" -o blurred_photo.jpg -F image=@' in said
        answers(where)
        port = int(where.rpartition(":")[2])
        known = {"Authorization": "Bearer a-token-of-twenty-4"}
        # Whichever of both processes is asked, it answers for both.
        for _ in range(8):
            assert ask(port, "/blur/", form(HOPPER.read_bytes()), **known)[0] == 200
            assert ask(port, "/blur/", form(HOPPER.read_bytes()))[0] == 401
        text = ask(port, "/metrics", **known)[1].decode()
        assert 'pocketface_requests_total{code="200",endpoint="/blur/"} 8.0' in text
        assert "pocketface_requests_at_work 0.0" in text
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


BROKEN = """
import multiprocessing, os, sys
from pathlib import Path
from pocketface.apps.service.app import Settings
from pocketface.apps.service.server import bind, make_config, serve
from pocketface.errors import PocketfaceError, UserError

class Broken(Settings):
    def open_finder(self):
        if multiprocessing.parent_process() is None:
            return super().open_finder()
        if sys.argv[1] == "dies":
            os.kill(os.getpid(), 9)
        raise UserError("no such device")

if __name__ == "__main__":
    with bind("127.0.0.1", 0) as listening:
        settings = Broken(classifier=Path(sys.argv[2]), detector=Path(sys.argv[3]))
        config, _ = make_config(settings, workers=2)
        try:
            serve(config, listening)
        except PocketfaceError as error:
            print(error)
"""


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("says", "no such device"),
        ("dies", "one ended with signal 9 before it could answer"),
    ],
)
def test_workers_that_cannot_start_are_given_up(
    how: str, says: str, onnx_files: dict[str, Path], tmp_path: Path
) -> None:
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    files = (str(onnx_files["classifier"]), str(onnx_files["detector"]))
    done = subprocess.run(
        [sys.executable, str(script), how, *files], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == f"worker processes cannot start: {says}\n", done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_that_is_killed_is_started_again(files: tuple[str, ...]) -> None:
    with serving(*files, "--workers", "2") as (process, where):
        answers(where)
        (first, *_) = workers_of(process.pid)
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while first in workers_of(process.pid) or len(workers_of(process.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert process.poll() is None


@pytest.mark.parametrize("closed", [False, True])
def test_workers_begin_in_a_folder_that_they_may_enter(
    closed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: not closed)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", nowhere)
    with bind("127.0.0.1", 0) as listening, pytest.raises(UserError, match=r"--workers: no folder"):
        serve(Config("x:y", workers=2), listening)
    assert Path.cwd() == (Path("/") if closed else tmp_path)


def nowhere(**_: Any) -> None:
    raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")


def workers_of(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [one for one in map(int, children) if is_worker(one)]


def is_worker(process: int) -> bool:
    with suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


def test_says_where_people_are(files: tuple[str, ...], tmp_path: Path) -> None:
    recognizer = write_recognizer(tmp_path / "model.onnx", **MEASURED)
    with serving(*files, "--recognizer", str(recognizer)) as (process, where):
        assert process.stdout is not None
        said = f"-F image=@one.jpg -F image=@other.jpg {where}/compare/\n"
        assert process.stdout.readline().endswith(said)


def test_without_anybody_to_read_its_log(files: tuple[str, ...]) -> None:
    with serving(*files) as (process, where):
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        for _ in range(3):
            assert answers(where) == b'{"status":"ok"}'
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_workers_end_with_their_parent(files: tuple[str, ...]) -> None:
    with serving(*files, "--workers", "2") as (process, where):
        answers(where)
        process.kill()
        process.wait()
        deadline = time.monotonic() + 30
        with suppress(OSError):
            while urlopen(f"{where}/ping/", timeout=10).read():
                assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--port", "70000"), "--port 70000: expected 0 to 65535"),
        (("--host", "no.such.host.invalid"), "--host no.such.host.invalid: no such address"),
        # Of RFC 5737: nobody's.
        (("--host", "192.0.2.1"), "--host: cannot listen at 192.0.2.1: Cannot assign"),
        (("--threads", "100000"), "threads 100000: expected 1 to"),
        (("--load-weights", "none.onnx"), "none.onnx: no such file"),
        (("--segmenter", "none.onnx"), "none.onnx: no such file"),
        (("--segmenter", "glasses-n"), "is for face-classification; expected a face segmenter"),
        (("--template", "face-detection-n"), "is for face-detection; expected a face classifier"),
        (("--recognizer", "none.onnx"), "none.onnx: no such file"),
        (("--recognizer", "glasses-n"), "is for face-classification; expected a face recogniser"),
        (("--gallery", "a.gallery"), "--gallery a.gallery: goes with --recognizer alone"),
        (("--max-fmr", "0.01"), "--max-fmr 0.01: goes with --recognizer alone"),
        (("--token-file", "none"), "--token-file none: No such file"),
        (("--tls-cert", "none.pem"), "--tls-cert none.pem: No such file"),
        (("--tls-key", "none.pem"), "--tls-key none.pem: goes with --tls-cert alone"),
        (("--workers", "0"), "--workers: expected a whole number, 1 or more"),
        (("--device", "quantum"), "device 'quantum'"),
    ],
)
def test_bad_input(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run("serve", "--port", "0", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") <= 2


def test_what_is_hidden_by_a_detector_with_nms_inside(onnx_files: dict[str, Path]) -> None:
    """It has a lowest score of its own, from which faces are hidden; less cannot be asked for."""
    arguments = ("--load-weights", onnx_files["classifier"], "--detector", onnx_files["nms"])
    with serving(*map(str, arguments), "--face-score", "0.6") as (_, where):
        port = int(where.rpartition(":")[2])
        photo = form(HOPPER.read_bytes())
        status, _, headers = ask(port, "/blur/", photo)
        assert (status, headers["x-faces-hidden"]) == (200, "1")
        status, said, _ = ask(port, "/blur/?score=0.01", photo)
        assert (status, b"this detector gives faces from" in said) == (400, True)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_only_an_answer_shows(run: Run, workers: str, onnx_files: dict[str, Path]) -> None:
    """A detector with NMS inside cannot find fainter faces; in a worker it would be too late."""
    arguments = ("--detector", onnx_files["nms"], "--face-score", "0.3", "--workers", workers)
    result = run("serve", "--port", "0", *arguments)
    assert (result.code, result.out) == (2, "")
    assert "has its NMS inside" in result.err


def test_a_port_that_is_taken(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--port", port)
    assert result.code == 2
    assert f"--port {port}: cannot listen at 127.0.0.1: Address already in use" in result.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may listen anywhere")
def test_a_port_that_is_not_allowed(run: Run) -> None:
    assert "--port 1: cannot listen" in run("serve", "--port", "1").err
