"""Archives on Ray: processes are killed, and nothing is lost, done twice, or left unblurred."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pocketface.apps.blur.manifest import MANIFEST
from pocketface.apps.blur.request import BlurRequest
from pocketface.apps.blur.run import open_blurrer

from ...pixel_recognizer import write_detector, write_photo

pytest.importorskip("ray")

PHOTOS = 40
DRIVER = Path(__file__).with_name("driver.py")
CLUSTER = """
import sys, ray
ray.init(num_cpus=2, object_store_memory=200 * 2**20, include_dashboard=False, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


ENVIRONMENT = {
    **os.environ,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a cluster that outlives those that use it."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_detector(tmp_path / "three.onnx", 40, 40, 40)
    monkeypatch.chdir(tmp_path)
    for number in range(PHOTOS):
        write_photo(Path(f"in/{number % 4}/{number:02}.png"), 1, 2, 3)
    # Names that are no text, or two lines of it.
    Path("in/0/00.png").rename(Path(os.fsdecode(b"in/0/\xff.png")))
    Path("in/0/04.png").rename(Path("in/0/0\n4.png"))
    return tmp_path


@contextmanager
def started(
    address: str, *, calm: float = 0.0, poison: str = "-"
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(DRIVER), address, str(calm), poison]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finish(address: str, *, poison: str = "-") -> tuple[int, str, str]:
    with started(address, poison=poison) as process:
        out, err = process.communicate(timeout=400)
    return process.returncode, out, err


def wait_for(number: int, of: Callable[[], int]) -> None:
    until = time.monotonic() + 90
    while of() < number:
        assert time.monotonic() < until
        time.sleep(0.02)


def noted() -> list[dict[str, Any]]:
    path = Path("out", MANIFEST)
    lines = path.read_text().splitlines()[1:] if path.exists() else []
    return [json.loads(line) for line in lines]


def seen() -> list[tuple[int, str]]:
    path = Path("seen.txt")
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(line.split()[0]), line.split()[1]) for line in lines]


def all_are_blurred(place: Path, but: str = "") -> None:
    blurrer = open_blurrer(BlurRequest(sources=(), detector=place / "three.onnx"))
    for path in Path("in").rglob("*.png"):
        name = path.relative_to("in")
        if name.as_posix() != but:
            made = blurrer.blur(path.read_bytes(), source="a photo").content
            assert Path("out", name).read_bytes() == made, name


def test_killed_actors_and_a_killed_driver(address: str, place: Path) -> None:
    with started(address, calm=0.1):
        wait_for(PHOTOS // 4 + 3, lambda: len(seen()))
        killed = seen()[-1][0]
        os.kill(killed, signal.SIGKILL)
        wait_for(1, lambda: len({process for process, _ in seen()} - {killed}))
        wait_for(PHOTOS // 4, lambda: len(noted()))
    before = {line["output"] for line in noted()}
    assert 0 < len(before) < PHOTOS
    time.sleep(1.0)  # Ray ends the actors of a driver that is gone
    already = len(seen())

    code, out, err = finish(address)
    assert code == 0, err
    assert out.split() == [str(PHOTOS - len(before)), str(len(before))]
    again = Counter(name for _, name in seen()[already:])
    assert not {ascii(name)[1:-1] for name in before} & set(again)
    assert Counter(line["output"] for line in noted()) == Counter(
        path.relative_to("in").as_posix() for path in Path("in").rglob("*.png")
    )
    all_are_blurred(place)
    assert len([path for path in Path("out").rglob("*") if path.is_file()]) == PHOTOS + 1

    code, out, _ = finish(address)
    assert (code, out.split()) == (0, ["0", str(PHOTOS)])


def test_a_photo_that_ends_the_process(address: str, place: Path) -> None:
    code, out, err = finish(address, poison="1/05.png")
    assert code == 0, err
    photos, skipped, *failed = out.splitlines()[-1].split(maxsplit=2)  # Ray has its say before
    assert (int(photos), int(skipped)) == (PHOTOS - 1, 0)
    assert failed == [f"{place}/in/1/05.png: the process that blurred it died"]
    assert not Path("out/1/05.png").exists()
    all_are_blurred(place, but="1/05.png")
    code, out, err = finish(address)
    assert (code, out.split()) == (0, ["1", str(PHOTOS - 1)])


def test_no_worker_can_start(address: str, place: Path) -> None:
    code, _, err = finish(address, poison="everything")
    assert code == 1
    assert "\nerror: --ray: another version\n" in err
    assert not list(place.rglob("out/*/*"))
