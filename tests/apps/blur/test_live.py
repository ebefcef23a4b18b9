"""One pass: what is written is complete, and hidden before it was found."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pocketface.apps.blur.cover import Cover
from pocketface.apps.blur.live import LiveRequest, blur_live, hidden_frames
from pocketface.data.videos import Frame
from pocketface.errors import PocketfaceError, UserError
from pocketface.results import Detections

from ...videos import write_video
from .test_video import RedFinder, frames_of, pictures, redness, sounds, ticks

av = pytest.importorskip("av")


def live(source: Path | str, output: Path | None, **settings: Any) -> int:
    settings.setdefault("finder", RedFinder())
    cover = Cover(style="solid", shape="box")
    return blur_live(LiveRequest(source=str(source), output=output, cover=cover, **settings))


def test_a_video_in_one_pass_keeps_times_and_sound(tmp_path: Path) -> None:
    times = [0.04 * index + 0.2 * (index > 9) for index in range(30)]
    source = write_video(
        tmp_path / "v.mp4", pictures(30), times=[round(t, 3) for t in times], sound=[("aac", 1.5)]
    )
    output = tmp_path / "o.mp4"
    assert live(source, output) == 30
    assert ticks(output)[0] == ticks(source)[0]
    assert sounds(output) == sounds(source)
    assert max(redness(output)) == 0


def test_a_face_that_is_found_late_is_hidden_before(tmp_path: Path) -> None:
    class Late(RedFinder):
        def find_all(self, image: Any, *, score: float, closer: bool = True) -> Detections:
            found = super().find_all(image, score=score, closer=closer)
            return found if self.count == 10 else found[[]]

    source = write_video(tmp_path / "v.mp4", pictures(5)[:1] * 40, rate=25)
    output = tmp_path / "o.mp4"
    live(source, output, finder=Late())
    hidden = [count == 0 for count in redness(output)]
    # 0.3 s before it was found, and a second after.
    assert hidden[:2] + hidden[2:34] + hidden[35:] == [False] * 2 + [True] * 32 + [False] * 5


def test_ctrl_c_leaves_a_whole_video(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", pictures(40), rate=25, sound=[("aac", 1.6)])
    output = tmp_path / "o.mp4"

    def ended(count: int) -> None:
        if count == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="holds the 20 frames until then"):
        live(source, output, on_frame=ended)
    assert len(frames_of(output)) == 20
    assert max(redness(output)) == 0


def test_a_camera_that_drops_leaves_a_whole_video_of_the_time_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[float] = []

    class Camera:
        def __init__(self, *_: object) -> None:
            self.left = iter(pictures(40))

        def isOpened(self) -> bool:
            return True

        def read(self) -> tuple[bool, Any]:
            time.sleep(0.02)
            picture = next(self.left, None)
            if picture is not None:
                came.append(time.monotonic())
            return picture is not None, picture

        def get(self, _: int) -> float:
            return 0.0

        def release(self) -> None:
            pass

    class Slow(RedFinder):
        def find_all(self, image: Any, *, score: float, closer: bool = True) -> Detections:
            time.sleep(0.06)
            return super().find_all(image, score=score, closer=closer)

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    output = tmp_path / "o.mp4"
    with pytest.raises(PocketfaceError, match=r"camera 0: sent nothing more after 40 frames, "):
        live("0", output, finder=Slow())
    frames = frames_of(output)
    assert 1 < len(frames) < 40
    assert frames[-1].time == pytest.approx(came[-1] - came[0], abs=0.2)
    assert max(redness(output)) == 0


def test_memory_does_not_grow_with_an_endless_source() -> None:
    source = pictures(4)

    def endless() -> Any:
        for index in range(500):
            yield Frame(source[index // 7 % 4], index / 25)

    request = LiveRequest(source="0", finder=RedFinder(), cover=Cover(style="solid"))  # type: ignore[arg-type]
    frames = hidden_frames(endless(), request, rate=25)
    count = 0
    for count, _ in enumerate(frames, 1):
        if count == 400:
            state: Any = frames.gi_frame.f_locals["following"]  # type: ignore[attr-defined]
            assert len(state._times) < 100
            tracks = [*state._linker.ended, *state._linker.open_tracks()]
            assert sum(len(track.frames) for track in tracks) < 100
    assert count == 500


class Knows:
    """Says of each face, by the number of the question, what it was told to say."""

    def __init__(self, answers: str) -> None:
        self.said = iter(answers)

    def answers(self, image: Any, faces: Detections) -> list[str]:
        assert image is not None
        return [{"y": "yes", "n": "no", "u": "unsure"}[next(self.said)] for _ in faces.boxes]

    def shows(self, answer: str) -> bool:
        return answer == "yes"


@pytest.mark.parametrize(
    ("answers", "visible"),
    [
        ("yyyyyyyyyy", [(0, 37)]),  # asked every 0.2 s; after the last answer hidden
        ("uuuuuuuuuu", []),
        ("nnnnnnnnnn", []),
        ("yyyyyuuuuu", [(0, 18)]),
        # Who is another one from 1 s on is hidden from the last answer before on.
        ("yyyyynnnnn", [(0, 18)]),
        ("uuuuuyyyyy", [(22, 37)]),
        ("ynnnnyyyyy", [(27, 37)]),  # most of the last two seconds
    ],
)
def test_who_stays_visible_is_surely_so_before_and_after(answers: str, visible: Any) -> None:
    frames = [Frame(pictures(1)[0], index / 20) for index in range(40)]
    request = LiveRequest(
        source="0",
        finder=RedFinder(),  # type: ignore[arg-type]
        cover=Cover(style="solid", shape="box"),
        who=Knows(answers),  # type: ignore[arg-type]
    )
    found = []
    for number, frame in enumerate(hidden_frames(iter(frames), request, rate=20)):
        red = frame.pixels[..., 2].astype(int) - frame.pixels[..., 1] > 60
        if red.any():
            found.append(number)
    expected = [number for first, last in visible for number in range(first, last + 1)]
    assert found == expected


def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", pictures(2))
    for output, says in (
        (None, "expected --output FILE.mp4, --show"),
        (tmp_path / "o.avi", "ends in .mp4"),
        (source, "is the source itself"),
    ):
        with pytest.raises(UserError, match=says):
            live(source, output)
    photo = tmp_path / "p.png"
    photo.write_bytes(b"")
    with pytest.raises(UserError, match="expected a camera, a stream or a video"):
        live(photo, tmp_path / "o.mp4")
    assert np.array_equal(frames_of(source)[0].pixels.shape, (120, 160, 3))
