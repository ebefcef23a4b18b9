"""Doubtful faces of photos and videos are those that another detector sees too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.apps.blur.find import FaceFinder
from pocketface.apps.blur.second_opinion import SecondOpinion
from pocketface.apps.blur.tracks import Track
from pocketface.apps.blur.video_doubts import TrackDoubts
from pocketface.data.images import read_image
from pocketface.data.pictures import public_domain_photos
from pocketface.results import Detections
from pocketface.tasks.load import load
from pocketface.tasks.named import model_path


class Opinion:
    """Agrees to some boxes, and remembers about which it was asked."""

    def __init__(self, *agreed: list[float]) -> None:
        self.agreed = agreed
        self.asked: list[list[float]] = []

    def agrees(self, _: Any, boxes: NDArray[np.float32], *, score: float) -> NDArray[np.bool_]:
        assert score == pytest.approx(0.2)
        self.asked += boxes.tolist()
        return np.array([box in self.agreed for box in boxes.tolist()], np.bool_)


def found(*rows: tuple[float, ...]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(table[:, 1:], table[:, 0])


def test_a_detector_sees_faces_and_nothing_elsewhere() -> None:
    opinion = SecondOpinion(model_path("face-detection-s"), threads=1)
    for path, _ in public_domain_photos():
        image = read_image(path)
        height, width = image.shape[:2]
        (face,) = load("face-detection-n", threads=1).predict(image).above(0.5).boxes
        boxes = [
            face,
            [0, height - 60, 60, height],
            [-40, -40, 10, 10],
            [width + 5, 9, width + 9, 9],
        ]
        agreed = opinion.agrees(image, np.array(boxes, np.float32), score=0.2)
        assert agreed.tolist() == [True, False, False, False]
    assert opinion.agrees(image, np.zeros((0, 4), np.float32), score=0.2).tolist() == []


def test_is_asked_about_large_doubtful_faces_of_a_photo_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The photo has the size of the detector's input."""
    sure, doubtful, fainter = [0, 0, 90, 90], [100, 0, 190, 90], [200, 0, 290, 90]
    nothing, small, small_and_faint = [300, 0, 390, 90], [400, 0, 420, 20], [500, 0, 520, 20]
    seen = found(
        (0.6, *sure), (0.5, *nothing), (0.35, *doubtful), (0.31, *small),
        (0.21, *fainter), (0.21, *small_and_faint), (0.19, 9, 200, 99, 290),
    )  # fmt: skip
    finder = FaceFinder("face-detection-n", score=0.3, threads=1)
    monkeypatch.setattr(
        finder.own, "predict", lambda _, score_threshold, **__: seen.above(score_threshold)
    )
    photo = np.zeros((640, 640, 3), np.uint8)
    assert finder.find(photo).boxes.tolist() == [sure, nothing, doubtful, small]
    opinion = Opinion(doubtful, fainter)
    monkeypatch.setattr(finder, "second_opinion", opinion)
    assert finder.find(photo).boxes.tolist() == [sure, doubtful, small, fainter]
    assert opinion.asked == [nothing, doubtful, fainter]
    # What a caller wants of a lower score is not judged.
    assert len(finder.find_all(photo, score=0.1)) == len(seen)


def test_a_track_is_asked_about_until_it_is_sure() -> None:
    face, thing, clear = Track(1), Track(2), Track(3)
    opinion = Opinion([2, 0, 9, 9])
    doubts = TrackDoubts(opinion, 0.2)  # type: ignore[arg-type]
    image = np.zeros((20, 20, 3), np.uint8)
    for step in range(6):
        faces = found(
            (0.4, step, 0, 9, 9), (0.4, 10, step, 19, 19), (0.7, 0, step, 9, 19), (0.25, 1, 1, 2, 2)
        )
        tracks = [face, thing, clear, None]
        doubtful = faces.scores < 0.6
        doubts.look(0.1 * step, image, faces, tracks, sure=faces.scores > 0.3, doubtful=doubtful)
    assert opinion.asked == [
        [0, 0, 9, 9],
        [10, 0, 19, 19],
        [2, 0, 9, 9],
        [10, 2, 19, 19],
        [10, 4, 19, 19],
    ]
    assert [doubts.is_sure(track) for track in (face, thing, clear)] == [True, False, True]


@pytest.mark.parametrize("agrees", [True, False])
def test_a_video_hides_the_tracks_that_are_sure(agrees: bool, tmp_path: Path) -> None:
    pytest.importorskip("av")
    from pocketface.apps.blur.video_find import find_tracks

    from ...videos import write_video
    from .test_video import RedFinder, pictures

    class Doubtful(RedFinder):
        def find_all(
            self, image: NDArray[np.uint8], *, score: float, closer: bool = True
        ) -> Detections:
            seen = super().find_all(image, score=score, closer=closer)
            return Detections(seen.boxes, np.full_like(seen.scores, 0.5))

    class Opinion:
        def agrees(self, _: Any, boxes: NDArray[np.float32], **__: object) -> Any:
            return np.full(len(boxes), agrees)

    finder: Any = Doubtful()
    finder.second_opinion = Opinion()
    write_video(tmp_path / "red.mp4", pictures(8))
    tracks, _ = find_tracks(tmp_path / "red.mp4", finder, who=None, tell=lambda _: None)
    assert len(tracks.paths) == agrees


def test_a_video_hides_what_its_frame_as_a_photo_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames are twice as wide as the detector's own input."""
    pytest.importorskip("av")
    from pocketface.apps.blur.video_find import find_tracks

    from ...videos import write_video

    sure, thing, face = [0, 0, 90, 90], [200, 0, 290, 90], [400, 0, 490, 90]
    small, fainter, faintest = [600, 0, 640, 40], [700, 0, 740, 40], [800, 0, 840, 40]
    large, middle = [0, 500, 200, 700], [900, 0, 980, 80]
    seen = found(
        (0.7, *sure), (0.5, *thing), (0.4, *face), (0.31, *small), (0.21, *fainter),
        (0.19, *faintest), (0.25, *large), (0.22, *middle),
    )  # fmt: skip
    finder = FaceFinder("face-detection-n", score=0.3, threads=1)
    monkeypatch.setattr(finder, "second_opinion", Opinion(face, middle))
    for one in (finder.own, finder._opened((1280, 1280))):
        monkeypatch.setattr(
            one, "predict", lambda _, score_threshold, **__: seen.above(score_threshold)
        )
    hidden = finder.find(np.zeros((1280, 1280, 3), np.uint8)).boxes.tolist()
    assert sorted(hidden) == sorted([sure, face, small, fainter, middle])
    write_video(tmp_path / "v.mp4", [np.zeros((1280, 1280, 3), np.uint8)] * 3)
    tracks, _ = find_tracks(tmp_path / "v.mp4", finder, who=None, tell=lambda _: None)
    assert sorted(path.boxes[0].tolist() for path in tracks.paths) == sorted(hidden)
