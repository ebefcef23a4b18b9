"""`pocketface blur` of videos."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketface
from pocketface.data.videos import open_video

from ..pixel_recognizer import PLACES, write_detector
from ..videos import write_video

pytest.importorskip("av")

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with stripes everywhere, and a detector that finds a face in each frame."""
    folder = tmp_path_factory.mktemp("video")
    write_detector(folder / "one.onnx", 40)
    stripes = np.full((80, 160, 3), 200, np.uint8)
    stripes[::4] = 30
    stripes[:8, :8] = 255
    write_video(folder / "v.mp4", [stripes] * 30, sound=[("aac", 3.0)])
    return folder


@pytest.fixture
def place(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contrasts(path: Path) -> list[float]:
    """Of each frame in the middle of the face."""
    x, y = PLACES[0]
    with open_video(path) as video:
        return [
            float(frame.pixels[y + 14 : y + 26, x + 14 : x + 26].std()) for frame in video.frames
        ]


@pytest.mark.usefixtures("place")
def test_a_video_is_blurred_and_rendered_again_by_its_tracks(run: Run) -> None:
    done = run("blur", "v.mp4", "--detector", "one.onnx", "--style", "solid", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["output"] == "blurred_v.mp4"
    assert (told["frames"], told["faces"], told["hidden"], told["black"]) == (30, 1, 1, 0)
    assert min(contrasts(Path("v.mp4"))) > 50
    assert max(contrasts(Path("blurred_v.mp4"))) < 5

    tracks = Path(told["tracks"])
    text = json.loads(tracks.read_text())
    text["tracks"][0]["visible"] = [[0, 9]]
    tracks.write_text(json.dumps(text))
    words = ("--force", "--style", "solid", "--keep-metadata", "date")
    done = run("blur", "v.mp4", "--tracks", str(tracks), *words)
    assert done.code == 0, done.err
    assert "--keep-metadata: of photos alone; of videos nothing is kept" in done.err
    assert [value > 50 for value in contrasts(Path("blurred_v.mp4"))] == [True] * 10 + [False] * 20


@pytest.mark.usefixtures("place")
def test_live_and_report(run: Run) -> None:
    done = run("blur", "--live", "v.mp4", "--detector", "one.onnx", "--output", "o.mp4")
    assert (done.code, done.out) == (0, "30 frames, written: o.mp4\n"), done.err
    assert max(contrasts(Path("o.mp4"))) < 20
    done = run(
        "blur", "v.mp4", "--detector", "one.onnx", "--report", "r.json", "--report-detector",
        "one.onnx",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "r.json: 0 faces seen by another detector" in done.out
    assert json.loads(Path("r.json").read_text())["pictures"] == 30


@pytest.mark.usefixtures("place")
def test_the_search_for_a_report_tells_how_far_it_is() -> None:
    said: list[tuple[int, int]] = []
    pocketface.blur(
        "v.mp4",
        detector="one.onnx",
        report="r.json",
        report_detector="one.onnx",
        on_search=lambda done, total: said.append((done, total)),
    )
    assert said == [(number, 30) for number in range(1, 31)]


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "expected photos, videos or folders to blur"),
        (("v.mp4", "--show"), "--show: goes with --live"),
        (("v.mp4", "--live", "0"), "--live 0: does not go with a PATH"),
        (("--live", "v.mp4"), "--live: expected --output FILE.mp4, --show, or both"),
        (("v.mp4", "--report-detector", "one.onnx"), "goes with --report FILE"),
        (("v.mp4", "--tracks", "none.json"), "none.json: cannot be read"),
        (("v.mp4", "--tracks", "t.json", "--score", "0.2"), "t.json: says what is hidden"),
        (("v.mp4", "v2.mp4", "--tracks", "t.json"), "goes with one video, and nothing else"),
        (("--live", "v.mp4", "--output", "o.mp4", "--shape", "mask"), "does not go with --live"),
        (("--live", "v.mp4", "--output", "v2.mp4"), "--output v2.mp4: is there already"),
        (("--live", "v.mp4", "--codec", "av1"), "--live v.mp4: does not go with --codec av1"),
        (("--live", "v.mp4", "--recognizer", "x"), "--recognizer x: goes with --only or --except"),
        (("--live", "v.mp4", "--output", "o.mp4", "--only", "v.mp4"), "v.mp4: expected a name"),
    ],
)
def test_what_is_refused(run: Run, words: tuple[str, ...], says: str) -> None:
    shutil.copy("v.mp4", "v2.mp4")
    detector = () if "--tracks" in words else ("--detector", "one.onnx")
    done = run("blur", *words, *detector)
    assert done.code == 2
    assert says in done.err
    assert not Path("blurred_v.mp4").exists()


@pytest.mark.usefixtures("place")
def test_corrected_tracks_are_not_overwritten(run: Run) -> None:
    tracks = Path("blurred_v.tracks.json")
    tracks.write_text("by hand")
    done = run("blur", "v.mp4", "--detector", "one.onnx")
    assert done.code == 2
    assert "blurred_v.tracks.json is there already" in done.err
    assert "--force replaces it; --tracks renders its video" in done.err
    assert tracks.read_text() == "by hand"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.usefixtures("place")
def test_a_killed_run_leaves_nothing_under_the_final_name(number: int) -> None:
    frame = np.random.default_rng(0).integers(0, 99, (480, 640, 1), np.uint8).repeat(3, 2)
    write_video(Path("long.mp4"), [np.roll(frame, 3 * at, 1) for at in range(100)])
    words = ["-m", "pocketface", "blur", "long.mp4", "--detector", "one.onnx"]
    process = subprocess.Popen(
        [sys.executable, *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if Path("blurred_long.tracks.json").exists():  # in the second pass
            break
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not Path("blurred_long.mp4").exists()
