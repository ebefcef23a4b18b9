from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from pocketface.apps.sources import find_source, open_frames
from pocketface.data.videos import Frame
from pocketface.errors import DataError, PocketfaceError

from ..videos import hidden_pyav


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", "more/c.webp", ".hidden/d.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def _video(path: Path, *, frames: int = 10, code: str = "mp4v", fps: float = 12.5) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), fps, (64, 48))
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 20 * (index % 10), np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("2", 2), ("007", 7)])
def test_a_number_is_a_camera(text: str, number: int) -> None:
    source = find_source(text)
    assert (source.kind, source.address, source.photos) == ("camera", number, ())


def test_also_where_a_folder_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("007").mkdir()
    assert find_source("007").kind == "camera"
    assert "007 is taken for a camera; ./007 is the file or folder" in caplog.text


@pytest.mark.parametrize("text", ["rtsp://cam", "http://host:8080", "HTTPS://host"])
def test_an_address_is_a_stream(text: str) -> None:
    source = find_source(text)
    assert (source.kind, source.address, source.name) == ("stream", text, text)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("rtsp://user:secret@cam:554/live", "rtsp://user:***@cam:554/…"),
        ("rtsp://user:sec@ret@cam/live", "rtsp://user:***@cam/…"),
        ("rtsp://user:sec/ret@cam/live", "rtsp://…"),
        ("rtsp://user:sec?ret@cam/live", "rtsp://…"),
        ("rtsp://user@cam/live", "rtsp://user@cam/…"),
        ("rtsp://cam:554/user=a&password=sec:r@et/x", "rtsp://…"),
        ("rtsp://cam:554/user=a&password=secret&stream=0.sdp", "rtsp://cam:554/…"),
        ("rtsp://cam?password=secret", "rtsp://cam/…"),
        ("rtsp://cam/live?user=a&password=secret", "rtsp://cam/…"),
        ("rtsp://cam/live?password=sec@ret", "rtsp://…"),
    ],
)
def test_the_password_of_a_stream_is_not_shown(address: str, name: str) -> None:
    source = find_source(address)
    assert (source.name, source.address) == (name, address)


def test_a_folder_is_its_photos(folder: Path) -> None:
    source = find_source(str(folder))
    assert source.kind == "folder"
    names = [path.relative_to(folder).as_posix() for path in source.photos]
    assert names == ["a.PNG", "b.jpg", "more/c.webp"]


def test_a_photo(folder: Path) -> None:
    source = find_source(str(folder / "a.PNG"))
    assert (source.kind, source.photos) == ("photo", (folder / "a.PNG",))


@pytest.fixture(params=[True, False], ids=["PyAV", "OpenCV"])
def _either_reader(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param:
        pytest.importorskip("av")
        yield
    else:
        with hidden_pyav():
            yield


@pytest.mark.usefixtures("_either_reader")
def test_a_video_is_read_to_its_end(tmp_path: Path) -> None:
    source = find_source(str(_video(tmp_path / "v.mp4")))
    assert source.kind == "video"
    with open_frames(source) as video:
        assert (video.rate, video.count) == (pytest.approx(12.5), 10)
        frames = list(video.frames)
    levels = [float(frame.pixels.mean()) for frame in frames]
    assert levels == pytest.approx([20 * index for index in range(10)], abs=4)
    assert [frame.time for frame in frames] == pytest.approx([0.08 * n for n in range(10)])


@pytest.mark.usefixtures("_either_reader")
def test_a_percent_sign_in_a_name_is_no_series(tmp_path: Path) -> None:
    with open_frames(find_source(str(_video(tmp_path / "v%02d.mp4")))) as video:
        assert len(list(video.frames)) == 10


def test_without_pyav_a_video_cut_off_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _video(tmp_path / "v.avi", frames=40, code="MJPG")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with hidden_pyav(), open_frames(find_source(str(path))) as video:
        count = len(list(video.frames))
    assert 0 < count < 40
    assert f"ended at frame {count} of 40" in caplog.text


def test_without_pyav_that_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = find_source(str(_video(tmp_path / "v.mp4")))
    with hidden_pyav():
        for _ in range(2):
            with open_frames(source):
                pass
    (record,) = caplog.records
    assert "pip install 'pocketface[video]'" in record.message


class Camera:
    """Gives four frames, each lighter, and then none."""

    def __init__(self, *_: object) -> None:
        self.given = 0
        self.released = threading.Event()
        self.may_go_on = threading.Event()

    def isOpened(self) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray]:
        self.given += 1
        if self.given > 1:
            self.may_go_on.wait()
        return self.given <= 4, np.full((2, 2, 3), self.given, np.uint8)

    def get(self, _: int) -> float:
        return 0.0

    def release(self) -> None:
        self.released.set()


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Camera:
    clock = iter([5.0, 5.25, 5.5, 6.5])
    found = Camera()
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: found)
    monkeypatch.setattr(
        "pocketface.apps.live_frames.time", SimpleNamespace(monotonic=lambda: next(clock))
    )
    return found


def test_a_camera_gives_its_newest_frame_at_the_time_it_came(
    camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    def look() -> Iterator[Frame]:
        with open_frames(find_source("0")) as video:
            assert (video.rate, video.count, video.duration) == (25, None, None)
            yield next(video.frames)
            camera.may_go_on.set()
            assert camera.released.wait(10)  # while the first one was looked at
            yield from video.frames

    found = []
    with pytest.raises(PocketfaceError, match=r"after 4 frames, 1\.5 s\n") as caught:
        found.extend(look())
    assert [(frame.time, frame.pixels.max()) for frame in found] == [(0, 1), (1.5, 4)]
    assert caught.value.exit_code == 1
    assert "camera 0: 2 of 4 frames were left out" in caplog.text


def test_who_ends_a_camera_hears_of_no_failure(camera: Camera) -> None:
    with open_frames(find_source("0")) as video:
        next(video.frames)
        camera.may_go_on.set()
    assert camera.released.wait(10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path != "/live":
                super().do_GET()
                return
            picture = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            for _ in range(12):
                self.wfile.write(b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + picture + b"\r\n")

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_stream_is_read(tmp_path: Path, server: str) -> None:
    _video(tmp_path / "v.avi", code="MJPG")
    with open_frames(find_source(f"{server}/v.avi")) as video:
        times = [frame.time for frame in video.frames]
    assert times == pytest.approx([0.08 * index for index in range(10)])


def test_a_stream_without_end_that_ends_is_a_failure(server: str) -> None:
    with (
        pytest.raises(PocketfaceError, match=r"127.*: sent nothing more after \d+ frames, "),
        open_frames(find_source(f"{server}/live")) as video,
    ):
        assert list(video.frames)


def test_a_file_at_an_address_that_is_cut_off_is_a_failure(tmp_path: Path, server: str) -> None:
    path = _video(tmp_path / "v.avi", frames=40, code="MJPG")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    count = 0
    with (
        pytest.raises(PocketfaceError, match=r"127.*: ended at frame \d+ of 40") as caught,
        open_frames(find_source(f"{server}/v.avi")) as video,
    ):
        count = len(list(video.frames))
    assert 0 < count < 40
    assert caught.value.exit_code == 1


def test_a_stream_that_is_not_there_is_a_failure(server: str) -> None:
    with (
        pytest.raises(PocketfaceError, match="cannot be reached") as caught,
        open_frames(find_source(f"{server}/none.avi")),
    ):
        pass
    assert caught.value.exit_code == 1


@pytest.mark.usefixtures("_either_reader")
def test_a_text_with_a_video_suffix_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_text("text " * 1000)
    with (
        pytest.raises(DataError, match=r"v\.mp4: not a video that can be decoded"),
        open_frames(find_source(str(tmp_path / "v.mp4"))),
    ):
        pass


@pytest.mark.usefixtures("_either_reader")
@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile v.avi\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\nv.avi\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    ],
    ids=["concat", "HLS", "SDP"],
)
def test_a_list_of_other_files_with_a_video_suffix_is_no_video(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "threads;1")
    _video(tmp_path / "v.avi")
    (tmp_path / "list.mp4").write_text(text)
    with (
        pytest.raises(DataError, match=r"list\.mp4: not a video that can be decoded"),
        open_frames(find_source(str(tmp_path / "list.mp4"))),
    ):
        pass
    assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "threads;1"


def test_opencv_and_ffmpeg_keep_quiet(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"\1" * 5000)
    code = (
        "import sys\n"
        "from pocketface.apps.sources import DataError, find_source, open_frames\n"
        "for text in sys.argv[1:]:\n"
        "    try:\n"
        "        with open_frames(find_source(text)): sys.exit(1)\n"
        "    except DataError: pass\n"
    )
    # A process of its own: FFmpeg keeps the loudness of its first use.
    command = [sys.executable, "-c", code, str(tmp_path / "v.mp4"), "99"]
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("none.jpg", "no such file or folder"),
        ("{}/notes.txt", "neither a photo"),
        ("{}/.hidden/nothing", "no such file or folder"),
        ("ftp://host/a.mp4", "unknown kind of address"),
        ("", "--video is empty"),
        ("{}/pipe.mp4", "pipe.mp4: is no regular file"),
        ("/dev/null", "/dev/null: is no regular file"),
    ],
)
def test_what_is_no_source_is_refused(folder: Path, text: str, message: str) -> None:
    os.mkfifo(folder / "pipe.mp4")
    with pytest.raises(DataError, match=message):
        find_source(text.format(folder))


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no photo in this folder"):
        find_source(str(tmp_path))
