from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import pocketface
from pocketface.data.images import read_image
from pocketface.data.media import open_container
from pocketface.data.videos import open_video

from ..videos import hidden_pyav, levels, write_video, write_with_bad_frame

Run = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("place")

# A network never trained finds little surely; at this score it finds a few.
LOW = ("--score-threshold", "0.1")


@pytest.fixture(autouse=True)
def _no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def _faces(model: str, photo: str) -> pocketface.Detections:
    return pocketface.load(model).predict(read_image(Path(photo)), score_threshold=0.1)


@pytest.mark.parametrize(
    "weights",
    ["model/model.xml", "model/model.bin", "model/model.onnx", "tiny.pth", "tiny.safetensors"],
)
def test_a_photo_by_every_kind_of_file(run: Run, weights: str) -> None:
    expected = _faces(weights, "photo.jpg")
    assert len(expected) > 0
    result = run("visualize", "--load-weights", weights, "--video", "photo.jpg", "--no-show", *LOW)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    faces = "1 face" if len(expected) == 1 else f"{len(expected)} faces"
    assert lines[0] == f"photo.jpg: {faces}"
    corners = " ".join(f"{value:.1f}" for value in expected.boxes[0])
    assert lines[1] == f"  score {expected.scores[0]:.3f}  box {corners}"
    assert len(lines) == 1 + len(expected)


def test_the_source_needs_no_flag(run: Run) -> None:
    model = ("visualize", "--load-weights", "model/model.onnx", "--no-show", *LOW)
    bare = run(*model, "photo.jpg")
    assert (bare.code, bare.err) == (0, "")
    assert bare == run(*model, "--video", "photo.jpg")
    for sources in ((), ("photo.jpg", "--video", "photo.jpg")):
        refused = run(*model, *sources)
        assert refused.code == 2
        assert "--video" in refused.err


def test_the_size_of_the_input_is_chosen(run: Run) -> None:
    faces = pocketface.load("tiny.pth", input_size=(128, 192))
    expected = faces.predict("photo.jpg", score_threshold=0.1)
    assert expected != _faces("tiny.pth", "photo.jpg")
    shared = ("visualize", "--video", "photo.jpg", "--no-show", "--input-size", "128x192", *LOW)
    corners = " ".join(f"{value:.1f}" for value in expected.boxes[0])
    for file in ("tiny.pth", "model/model.xml", "model/model.onnx"):
        result = run(*shared, "--load-weights", file)
        assert result.code == 0
        assert result.out.splitlines()[1] == f"  score {expected.scores[0]:.3f}  box {corners}"


def test_a_photo_to_a_photo(run: Run, place: Path) -> None:
    before = {path.name for path in place.iterdir()}
    result = run(
        "visualize", "--load-weights", "model/model.xml", "--video", "photo.jpg", "--no-show",
        "--output", "new/drawn.png", *LOW,
    )  # fmt: skip
    assert result.code == 0
    assert result.out.splitlines()[-1] == "written: new/drawn.png"
    drawn, photo = (read_image(Path(name)) for name in ("new/drawn.png", "photo.jpg"))
    assert drawn.shape == photo.shape
    assert (drawn != photo).any()
    assert {path.name for path in place.iterdir()} - before == {"new"}
    assert [path.name for path in Path("new").iterdir()] == ["drawn.png"]


def test_a_photo_into_a_folder_that_is_there(run: Run) -> None:
    result = run(
        "visualize", "--load-weights", "model/model.xml", "--video", "photo.jpg", "--no-show",
        "--output", "empty",
    )  # fmt: skip
    assert result.code == 0
    assert [path.name for path in Path("empty").iterdir()] == ["photo.jpg"]


def test_a_folder_is_mirrored_and_a_broken_photo_is_passed_over(run: Run) -> None:
    result = run(
        "visualize", "--load-weights", "model/model.onnx", "--video", "photos", "--no-show",
        "--output", "out", *LOW,
    )  # fmt: skip
    assert result.code == 0
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith("pocketface: warning: photos/half.jpg: ")
    found = len(_faces("model/model.onnx", "photos/a.jpg"))
    lines = result.out.splitlines()
    assert lines[0] == f"photos/a.jpg: {found} faces"
    assert lines[1].startswith("photos/more/b.png: ")
    assert lines[2].startswith("photos: 2 photos, 1 unreadable, ")
    assert lines[3] == "written: out"
    written = sorted(str(path) for path in Path("out").rglob("*") if path.is_file())
    assert written == ["out/a.jpg", "out/more/b.png"]


def test_a_link_does_not_lead_over_the_photo_itself(run: Run) -> None:
    Path("chosen").mkdir()
    Path("chosen/a.jpg").symlink_to(Path("photos/a.jpg").resolve())
    before = Path("photos/a.jpg").read_bytes()
    result = run(
        "visualize", "--load-weights", "model/model.onnx", "--video", "chosen", "--no-show",
        "--output", "photos",
    )  # fmt: skip
    assert result.code == 2
    assert "--output photos: photos/a.jpg is one of the photos to be read" in result.err
    assert Path("photos/a.jpg").read_bytes() == before


def test_a_folder_without_one_readable_photo_is_an_error(run: Run) -> None:
    result = run(
        "visualize", "--load-weights", "model/model.onnx", "--video", "broken", "--no-show"
    )
    assert result.code == 2
    assert "none of the 1 photos could be read" in result.err


@pytest.mark.parametrize("suffix", ["jfif", "pgm"])
def test_suffixes_that_cannot_be_written_get_png_behind_them(run: Run, suffix: str) -> None:
    photo = Path("photos", f"c.{suffix}")
    Path("photos/a.jpg").rename(photo)
    into = ("visualize", "--load-weights", "model/model.onnx", "--no-show", "--output")
    assert run(*into, "out", "--video", "photos").code == 0
    assert cv2.imread(f"out/c.{suffix}.png") is not None
    refused = run(*into, f"out/c.{suffix}", "--video", photo)
    assert (refused.code, refused.out) == (2, "")
    assert "expected a photo's name, as c.jpg" in refused.err


def test_a_photo_too_long_for_its_format_becomes_png(run: Run) -> None:
    Path("in").mkdir()
    photo = Image.new("RGB", (16_400, 4))
    photo.save("in/long.webp.gif")  # Pillow writes no such WebP either
    Path("in/long.webp.gif").rename("in/long.webp")
    result = run(
        "visualize", "--load-weights", "tiny.pth", "--video", "in", "--output", "out", "--no-show"
    )
    assert result.code == 0
    assert "too large for .webp, written as long.webp.png" in result.err
    assert cv2.imread("out/long.webp.png").shape == (4, 16_400, 3)
    into = ("visualize", "--load-weights", "tiny.pth", "--no-show", "--output")
    result = run(*into, "one.webp", "--video", "in/long.webp")
    assert result.code == 0
    assert "written: one.webp.png" in result.out
    assert not Path("one.webp").exists()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("source", "output", "written"),
    [("photos", "older", "older/a.jpg"), ("photos/a.jpg", "drawn.jpg", "drawn.jpg")],
)
def test_older_files_are_replaced_if_told_to(
    run: Run, source: str, output: str, written: str
) -> None:
    Path("older").mkdir()
    Path(written).write_text("mine")
    words = ("visualize", *LOW, source, "--no-show", "--output", output)
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert f"{written}" in done.err
    assert "is there already" in done.err
    assert Path(written).read_text() == "mine"
    assert run(*words, "--force").code == 0
    assert cv2.imread(written) is not None


def test_an_empty_source(run: Run) -> None:
    done = run("visualize", "", "--no-show")
    assert done.code == 2
    assert "expected a camera number, a file, a folder or a URL" in done.err


def test_two_photos_do_not_become_one(run: Run) -> None:
    shutil.copy("photos/a.jpg", "photos/c.jfif")
    shutil.copy("photos/a.jpg", "photos/c.jfif.png")
    result = run(
        "visualize", "--load-weights", "model/model.onnx", "--video", "photos", "--no-show",
        "--output", "out",
    )  # fmt: skip
    assert (result.code, result.out) == (2, "")
    assert "photos/c.jfif and photos/c.jfif.png would both be out/c.jfif.png" in result.err
    assert not Path("out").exists()


def test_a_colon_in_a_videos_name_is_no_protocol(run: Run) -> None:
    Path("video.mp4").rename("10:30.mp4")
    result = run(
        "visualize", "--load-weights", "model/model.xml", "--video", "10:30.mp4", "--no-show",
        "--output", "file:drawn.mp4",
    )  # fmt: skip
    assert (result.code, result.err) == (0, "")
    assert cv2.VideoCapture(str(Path("file:drawn.mp4").resolve())).read()[0]


def test_a_video_to_a_video(run: Run) -> None:
    result = run(
        "visualize", "--load-weights", "model/model.xml", "--video", "video.mp4", "--no-show",
        "--output", "drawn.mp4", *LOW,
    )  # fmt: skip
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("video.mp4: 12 frames, ")
    drawn, source = cv2.VideoCapture("drawn.mp4"), cv2.VideoCapture("video.mp4")
    assert drawn.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)
    changed = 0
    for _ in range(12):
        (good, frame), (_, original) = drawn.read(), source.read()
        assert good
        assert frame.shape == original.shape
        changed += np.abs(frame.astype(int) - original.astype(int)).max() > 100
    assert changed == 12
    assert not drawn.read()[0]


@pytest.mark.parametrize("pyav", [True, False])
def test_sound_and_uneven_times_are_kept_by_pyav(run: Run, pyav: bool) -> None:
    times = [0, 0.1, 0.2, 0.9, 1.6]
    write_video(Path("odd.mkv"), levels(5), times=times, sound=[("aac", 1.5)])
    with nullcontext() if pyav else hidden_pyav():
        result = run(
            "visualize", "--load-weights", "model/model.xml", "--video", "odd.mkv", "--no-show",
            "--output", "drawn.mp4",
        )  # fmt: skip
    assert result.code == 0
    assert result.err.count("pip install 'pocketface[video]'") == (0 if pyav else 1)
    assert len(result.err.splitlines()) == (0 if pyav else 1)
    with open_container(Path("drawn.mp4")) as container:
        assert len(container.streams.audio) == (1 if pyav else 0)
    with open_video(Path("drawn.mp4")) as video:
        found = [frame.time for frame in video.frames]
    assert found == pytest.approx(times if pyav else [0, 0.1, 0.2, 0.3, 0.4], abs=0.03)


def test_a_frame_that_cannot_be_decoded_is_told(run: Run) -> None:
    write_with_bad_frame(Path("bad.avi"), count=8, bad=3)
    result = run("visualize", "--load-weights", "model/model.xml", "--video", "bad.avi",
                 "--no-show")  # fmt: skip
    assert result.code == 0
    assert result.out.startswith("bad.avi: 7 frames, ")
    assert result.err == (
        "pocketface: warning: bad.avi: 1 frame could not be decoded and is left out (7 were read)\n"
    )


def test_progress_is_logged_where_there_is_no_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pocketface.apps.visualize._SAY_EVERY", -1)
    result = run(
        "visualize", "--load-weights", "model/model.xml", "--video", "video.mp4", "--no-show"
    )
    assert result.code == 0
    lines = result.err.splitlines()
    assert len(lines) == 12
    assert lines[0].startswith("video.mp4: 1 of 12 frames, about ")
    assert lines[-1] == "video.mp4: 12 of 12 frames, about 0 s left"


def test_progress_is_shown_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []

    @contextmanager
    def bar(unit: str) -> Iterator[Callable[[int, int], None]]:
        assert unit == "frames"
        yield lambda done, total: told.append((done, total))

    monkeypatch.setattr("pocketface.cli.visualize.progress", bar)
    monkeypatch.setattr("pocketface.cli.visualize.sys.stderr.isatty", lambda: True)
    flags = ("--load-weights", "model/model.xml", "--no-show", "--video")
    assert run("visualize", *flags, "photos").code == 0
    assert told == []
    assert run("visualize", *flags, "video.mp4").code == 0
    assert told == [(done, 12) for done in range(1, 13)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_video_that_plays(
    run: Run,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    from pocketface.tasks.detection.model import FaceDetector

    predict, calls = FaceDetector.predict, []

    def predict_or_stop(
        self: FaceDetector, *arguments: Any, **options: Any
    ) -> pocketface.Detections:
        calls.append(1)
        if len(calls) == 6:
            signal.raise_signal(number)
        return predict(self, *arguments, **options)

    monkeypatch.setattr(FaceDetector, "predict", predict_or_stop)
    before = {path.name for path in place.iterdir()}
    result = run(
        "visualize", "--load-weights", "model/model.xml", "--video", "video.mp4", "--no-show",
        "--output", "drawn.mp4",
    )  # fmt: skip
    assert result.code == 128 + number
    how = "interrupted;" if number == signal.SIGINT else "warning:"
    assert result.err == f"pocketface: {how} drawn.mp4 holds the 5 frames until then\n"
    drawn = cv2.VideoCapture("drawn.mp4")
    assert [drawn.read()[0] for _ in range(6)] == [True] * 5 + [False]
    assert {path.name for path in place.iterdir()} - before == {"drawn.mp4"}


def test_a_failure_leaves_the_old_video(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pocketface.tasks.detection.model import FaceDetector

    def fail(*_: object, **__: object) -> None:
        raise pocketface.PocketfaceError("the device is gone")

    monkeypatch.setattr(FaceDetector, "predict", fail)
    Path("drawn.mp4").write_bytes(b"old")
    before = {path.name for path in place.iterdir()}
    result = run(
        "visualize", "--load-weights", "model/model.xml", "--video", "video.mp4", "--no-show",
        "--output", "drawn.mp4", "--force",
    )  # fmt: skip
    assert (result.code, result.err) == (1, "pocketface: error: the device is gone\n")
    assert Path("drawn.mp4").read_bytes() == b"old"
    assert {path.name for path in place.iterdir()} == before


class _Window:
    """Stands in for the window: a machine that tests need not have a screen."""

    shown: list[tuple[tuple[int, ...], int]]
    last = 3

    def __init__(self) -> None:
        _Window.shown = []

    def show(self, image: Any, *, delay: int) -> bool:
        _Window.shown.append((image.shape, delay))
        return len(_Window.shown) < _Window.last

    def close(self) -> None:
        _Window.shown.append(((), -1))


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> type[_Window]:
    monkeypatch.setattr("pocketface.apps.visualize.Window", _Window)
    monkeypatch.setattr("pocketface.apps.visualize.check_display", lambda: None)
    return _Window


@pytest.mark.parametrize(
    ("flags", "delay"), [((), 1), (("--delay", "40"), 40), (("--delay", "0"), 0)]
)
def test_the_window_ends_a_video(
    run: Run, window: type[_Window], flags: tuple[str, ...], delay: int
) -> None:
    result = run("visualize", "--load-weights", "model/model.xml", "--video", "video.mp4", *flags)
    assert result.code == 0
    assert window.shown == [((120, 160, 3), delay)] * 3 + [((), -1)]
    assert result.out.startswith("video.mp4: 3 frames, ")


@pytest.mark.parametrize(("flags", "delay"), [((), 0), (("--delay", "40"), 40)])
def test_photos_wait_for_a_key(
    run: Run, window: type[_Window], flags: tuple[str, ...], delay: int
) -> None:
    result = run("visualize", "--load-weights", "model/model.xml", "--video", "photos", *flags)
    assert result.code == 0
    assert window.shown == [((120, 160, 3), delay)] * 2 + [((), -1)]


@pytest.mark.parametrize("display", [None, ":98765"])
def test_without_a_display_nothing_begins(
    run: Run, monkeypatch: pytest.MonkeyPatch, display: str | None
) -> None:
    if display is not None:
        monkeypatch.setenv("DISPLAY", display)
    result = run(
        "visualize", "--load-weights", "model/model.xml", "--video", "photo.jpg",
        "--output", "drawn.png",
    )  # fmt: skip
    assert result.code == 2
    error, hint = result.err.splitlines()
    assert error.startswith("pocketface: error: no display to show pictures on: ")
    assert "--no-show" in hint
    assert "--output" in hint
    assert not Path("drawn.png").exists()
