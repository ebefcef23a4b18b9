"""Faces of frames become tracks, and tracks hide all that a face may be seen in."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from pocketface.apps.blur.scene_cuts import SceneCuts
from pocketface.apps.blur.tracks import Linker, Track
from pocketface.apps.blur.tracks_cover import PAD, Covers, path_of, steady
from pocketface.apps.blur.video_who import TrackWho, hidden_in
from pocketface.results import Detections

RATE = 25.0


def faces(*rows: tuple[float, float, float]) -> Detections:
    """Faces of 40 pixels by score and left upper corner."""
    table = np.array(rows, np.float32).reshape(-1, 3)
    corners = table[:, 1:]
    return Detections(np.hstack([corners, corners + 40]), table[:, 0].copy())


def linked(frames: Iterable[Detections], cuts: Iterable[int] = ()) -> list[Track]:
    linker = Linker()
    for number, found in enumerate(frames):
        if number in set(cuts):
            linker.cut()
        linker.add(number, number / RATE, found, found.scores >= 0.3)
    return linker.finish()


def spans(tracks: list[Track]) -> list[tuple[int, int]]:
    return [(track.frames[0], track.frames[-1]) for track in tracks]


def test_two_faces_that_move_are_two_tracks() -> None:
    frames = [faces((0.9, 10 * n, 50), (0.8, 400 - 10 * n, 120)) for n in range(40)]
    tracks = linked(frames)
    assert spans(tracks) == [(0, 39), (0, 39)]
    assert tracks[0].boxes[-4:].tolist() == [390, 50, 430, 90]


def test_faces_that_pass_each_other_keep_their_tracks() -> None:
    frames = [faces((0.9, 8 * n, 50), (0.8, 320 - 8 * n, 75)) for n in range(41)]
    tracks = linked(frames)
    assert [track.boxes[-3] for track in tracks] == [50, 75]


def test_a_faint_face_goes_on_and_does_not_start() -> None:
    frames = [faces((0.2, 50, 50))] * 10
    assert linked(frames) == []
    frames = [faces((0.9, 50, 50))] * 3 + [faces((0.15, 52, 50))] * 40
    assert spans(linked(frames)) == [(0, 42)]


def test_a_track_that_starts_late_is_followed_backward() -> None:
    frames = [faces((0.15, 10 + 5 * n, 50), (0.15, 300, 300)) for n in range(30)]
    frames += [faces((0.9, 160, 50))]
    tracks = linked(frames)
    assert spans(tracks) == [(0, 30)]
    assert list(tracks[0].frames) == sorted(tracks[0].frames)
    assert tracks[0].boxes[1::4].tolist() == [50] * len(tracks[0].frames)


def test_a_face_that_comes_back_is_the_same_until_the_gap_is_too_long() -> None:
    there = [faces((0.9, 50, 50))] * 5
    for gap, number in ((20, 1), (30, 2)):
        assert len(linked(there + [faces()] * gap + there)) == number


def test_no_track_goes_on_in_another_scene() -> None:
    there = [faces((0.9, 50, 50))] * 5
    tracks = linked(there + there, cuts=[5])
    assert spans(tracks) == [(0, 4), (5, 9)]
    times = np.arange(10) / RATE
    first, second = (path_of(track, times, [5]) for track in tracks)
    assert (first.first, len(first.boxes)) == (0, 5)
    assert (second.first, len(second.boxes)) == (5, 5)


def test_gaps_are_filled_and_ends_are_longer() -> None:
    frames = [faces()] * 20 + [faces((0.9, 100, 50))] + [faces()] * 15 + [faces((0.9, 140, 50))]
    frames += [faces()] * 20
    (track,) = linked(frames)
    times = np.arange(len(frames)) / RATE
    path = path_of(track, times, [])
    more = int(PAD * RATE)
    assert path.first == 20 - more
    assert path.first + len(path.boxes) == 37 + more
    assert np.isnan(path.scores).sum() == 15 + 2 * more
    middle = path.boxes[28 - path.first]
    # Where the face may be half way, and not all between the two.
    assert middle.tolist() == pytest.approx([120, 50, 160, 90], abs=2)
    # Shortly after it was lost it may still be there.
    assert path.boxes[24 - path.first][0] == 100


def test_frames_of_any_length_are_counted_in_seconds() -> None:
    times = np.array([0, 1, 1.1, 1.2, 1.25, 1.3, 1.31, 3.0])
    track = Track(1)
    track.put(4, np.array([0, 0, 9, 9], np.float32), 0.9)
    path = path_of(track, times, [])
    assert (path.first, len(path.boxes)) == (1, 6)


def test_a_face_that_leaves_is_hidden_where_it_was_and_where_it_goes() -> None:
    frames = [faces((0.9, 10 * n, 50)) for n in range(20)] + [faces()] * 10
    (track,) = linked(frames)
    path = path_of(track, np.arange(30) / RATE, [])
    assert path.boxes[24 - path.first].tolist() == pytest.approx([190, 50, 280, 90], abs=1)


def test_covers_never_lag_and_shake_less() -> None:
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.normal(0, 6, 200)) + 300
    boxes = np.stack([x, x, x + 50, x + 50], 1).astype(np.float32)
    covers = steady(boxes, RATE)
    assert (covers[:, :2] <= boxes[:, :2] + 1e-3).all()
    assert (covers[:, 2:] >= boxes[:, 2:] - 1e-3).all()
    shaking = [np.abs(np.diff(one[:, 0], 2)).mean() for one in (boxes, covers)]
    assert shaking[1] < shaking[0] / 4


def test_covers_at_a_frame() -> None:
    track = Track(1)
    track.put(10, np.array([0, 0, 9, 9], np.float32), 0.9)
    path = path_of(track, np.arange(40) / RATE, [])
    covers = Covers([path], RATE)
    assert [len(covers.at(frame)) for frame in (2, 3, 10, 17, 18)] == [0, 1, 1, 1, 0]
    path.hidden[:] = False
    assert len(covers.at(10)) == 0


def test_a_cut_is_another_picture_and_not_another_light() -> None:
    rng = np.random.default_rng(3)
    one, other = (np.kron(rng.integers(20, 200, (9, 16, 3)), np.ones((20, 20, 1))) for _ in "ab")
    cuts = SceneCuts()
    pictures = [one, one + 50, np.roll(one, 4, 1), one / 3, one, other, other]
    assert [cuts.begins(picture.astype(np.uint8)) for picture in pictures] == [
        False, False, False, False, False, True, False,
    ]  # fmt: skip


def test_a_source_without_an_end_is_forgotten() -> None:
    track = Track(1)
    for frame in range(100):
        track.put(frame, np.full(4, frame, np.float32), 0.5)
    track.forget(90)
    assert list(track.frames) == list(range(90, 100))
    assert track.table()[1][0].tolist() == [90] * 4
    track.forget(500)
    assert list(track.frames) == [99]


@pytest.mark.parametrize(
    ("answers", "visible"),
    [
        ({}, ""),
        ({10: True}, "0123456789abcdefghij"),
        ({4: False, 8: False, 12: True}, ""),
        ({4: True, 8: False}, ""),  # no majority
        ({4: True, 8: True, 12: False}, "0123456789"[:9]),
        ({4: False, 8: True, 12: True, 16: True}, "89abcdefghij"),
        ({2: True, 4: True, 8: False, 12: True}, "01234cdefghij"),
    ],
)
def test_who_stays_visible_is_decided_by_track(answers: dict[int, bool], visible: str) -> None:
    track = Track(1, shown=answers)
    hidden = hidden_in(track, 0, 20)
    assert [index for index in range(20) if not hidden[index]] == [int(one, 36) for one in visible]


class OddOneOut:
    """Knows who is at the right; is unsure half of the time."""

    def __init__(self) -> None:
        self.asked = 0

    def answers(self, image: object, faces: Detections) -> list[str]:
        assert image is not None
        self.asked += 1
        if self.asked % 2:
            return ["unsure"] * len(faces)
        return ["yes" if box[0] > 200 else "no" for box in faces.boxes]

    def shows(self, answer: str) -> bool:
        return answer == "yes"


def test_faces_of_tracks_are_asked_now_and_then_and_unsure_answers_do_not_count() -> None:
    linker, who = Linker(), OddOneOut()
    asking = TrackWho(who, 0.3)  # type: ignore[arg-type]
    for number in range(50):
        found = faces((0.9, 50, 50), (0.8, 300, 50), (0.2, 500, 50))
        linked = linker.add(number, number / RATE, found, found.scores >= 0.3)
        asking.look(number, number / RATE, np.zeros((4, 4, 3), np.uint8), found, linked)
    left, right = linker.finish()
    assert 8 <= who.asked <= 10
    assert set(left.shown.values()) == {False}
    assert set(right.shown.values()) == {True}
    assert len(right.shown) == who.asked // 2
    assert path_of(left, np.arange(50) / RATE, []).hidden.all()
    assert not path_of(right, np.arange(50) / RATE, []).hidden.any()
