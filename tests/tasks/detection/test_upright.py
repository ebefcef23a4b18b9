"""Faces that lie on their side: looked at turned, and landmarks of the way up that fits best."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface import Detections
from pocketface.tasks.detection import upright
from pocketface.tasks.detection.upright import CELL, SURROUNDED, turned_upright
from pocketface.tasks.detection.upright import upright as uprighted

POINTS = np.array([[-0.2, -0.2], [0.2, -0.2], [0, 0], [-0.15, 0.25], [0.15, 0.25]], np.float32)
"""Landmarks from the middle of a face, as shares of its side."""

FACES = [(60, 50, 40), (200, 60, 60), (330, 70, 80), (80, 200, 50), (250, 220, 100)]
"""Middles and sides."""


def photo_of(turns: int) -> tuple[NDArray[np.uint8], Detections]:
    """Faces whose upper half is bright, in a photo turned so often; all are taken for upright."""
    image = np.zeros((300, 400, 3), np.uint8)
    for x, y, side in FACES:
        image[y - side // 2 : y, x - side // 2 : x + side // 2] = 200
        image[y : y + side // 2, x - side // 2 : x + side // 2] = 90
    image = np.ascontiguousarray(np.rot90(image, turns))
    boxes, landmarks = [], []
    for x, y, side in FACES:
        width, height = 400, 300
        for _ in range(turns):
            x, y, width, height = y, width - x, height, width
        boxes.append([x - side / 2, y - side / 2, x + side / 2, y + side / 2])
        landmarks.append(POINTS * side + (x, y))
    scores = np.full(len(FACES), 0.6, np.float32)
    return image, Detections(np.array(boxes, np.float32), scores, np.array(landmarks, np.float32))


class Look:
    """Finds a face in the middle of each cell, the surer the more of the light is above."""

    def __init__(self, best: float = 0.8) -> None:
        self.sheets = 0
        self.best = best

    def __call__(self, sheet: NDArray[np.uint8], _: float) -> Detections:
        self.sheets += 1
        side = CELL / SURROUNDED
        boxes, scores, landmarks = [], [], []
        for top in range(0, sheet.shape[0], CELL):
            for left in range(0, sheet.shape[1], CELL):
                middle = np.array([left, top]) + CELL / 2
                x1, y1 = (middle - side / 2).astype(int)
                face = sheet[y1 : y1 + int(side), x1 : x1 + int(side)].astype(float)
                if not face.any():
                    continue
                above = face[: len(face) // 2].sum() / face.sum()
                boxes.append([*(middle - side / 2), *(middle + side / 2)])
                scores.append(self.best if above > 0.6 else 0.5)
                landmarks.append(POINTS * side + middle)
        # An eye or a whole group is no face of a cell.
        boxes.append([10, 10, 20, 20])
        boxes.append([0, 0, 640, 640])
        scores += [0.99, 0.99]
        landmarks += [np.zeros((5, 2))] * 2
        order = np.argsort(-np.array(scores), kind="stable")
        return Detections(
            np.array(boxes, np.float32)[order],
            np.array(scores, np.float32)[order],
            np.array(landmarks, np.float32)[order],
        )


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_landmarks_of_turned_faces_are_turned(turns: int) -> None:
    image, faces = photo_of(turns)
    look = Look()
    found, told = turned_upright(look, image, faces)
    assert told.argmax(1).tolist() == [-turns % 4] * len(FACES)
    assert look.sheets == 2  # of four faces each
    assert np.array_equal(found.boxes, faces.boxes)
    assert np.array_equal(found.scores, faces.scores)
    assert found.landmarks is not None
    assert faces.landmarks is not None
    for landmarks, box in zip(found.landmarks, faces.boxes, strict=True):
        points = POINTS * (box[2] - box[0])
        for _ in range(turns):  # as the photo was turned
            points = np.stack([points[:, 1], -points[:, 0]], axis=1)
        np.testing.assert_allclose(landmarks, points + (box[:2] + box[2:]) / 2, atol=0.01)


def test_a_face_stays_as_it_is_unless_another_way_up_is_surely_better() -> None:
    image, faces = photo_of(2)
    look = Look(best=0.5 + upright.BETTER)
    assert turned_upright(look, image, faces)[0] == faces
    assert turned_upright(Look(best=0.56), image, faces)[0] != faces


@pytest.mark.parametrize("reason", ["sure", "small", "none", "no landmarks"])
def test_what_is_not_looked_at_again(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image, faces = photo_of(2)
    if reason == "sure":
        faces = Detections(faces.boxes, faces.scores + 0.31, faces.landmarks)
    if reason == "small":
        monkeypatch.setattr(upright, "SMALL", 101)
    if reason == "none":
        faces = faces[:0]
    if reason == "no landmarks":
        faces = Detections(faces.boxes, faces.scores)
    look = Look()
    assert turned_upright(look, image, faces)[0] is faces
    assert look.sheets == 0


def test_a_face_that_is_nowhere_found_again_stays() -> None:
    image, faces = photo_of(1)
    nobody = Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
    )
    found, scores = turned_upright(lambda *_: nobody, image, faces)
    assert found == faces
    assert not scores.any()


class PhotoLook:
    """Finds what is in a photo that is upright, as its bright corner at the top left tells.

    Of others it finds the first face alone; in sheets it sees all.
    """

    def __init__(self, upright_faces: Detections, other: Detections) -> None:
        self.faces, self.other = upright_faces, other
        self.sheet = Look()
        self.scores: list[float] = []

    def __call__(self, image: NDArray[np.uint8], score: float) -> Detections:
        if image.shape[:2] == (upright.SIDE, upright.SIDE):
            return self.sheet(image, score) if score == upright.FAINT else self.copies(image)
        self.scores.append(score)
        return (self.faces if image[0, 0, 0] else self.other).above(score)

    def copies(self, sheet: NDArray[np.uint8]) -> Detections:
        """A face in the copy, a quarter of the sheet, whose corner at the top left is bright."""
        half = upright.SIDE // 2
        corners = [(x, y) for y in (0, half) for x in (0, half) if sheet[y + 1, x + 1, 0] > 240]
        boxes = [[x + 50, y + 50, x + 90, y + 90] for x, y in corners if len(self.faces)]
        return Detections(
            np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.6, np.float32)
        )


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("seen", [1, 0])
def test_a_photo_that_lies_on_its_side_is_looked_at_turned(turns: int, seen: int) -> None:
    image, faces = photo_of(0)
    image[:5, :5] = 255
    wanted = Detections(faces.boxes, faces.scores + 0.15, faces.landmarks)
    turned, known = photo_of(turns)
    turned = np.ascontiguousarray(np.rot90(image, turns))
    look = PhotoLook(wanted, known[:0])
    found = uprighted(look, turned, known[:seen], score=0.5)
    assert look.scores == [0.5 if seen else upright.ALONE]
    np.testing.assert_allclose(found.boxes, known.boxes, atol=0.01)
    assert found.landmarks is not None
    for landmarks, box in zip(found.landmarks, found.boxes, strict=True):
        points = POINTS * (box[2] - box[0])
        for _ in range(turns):
            points = np.stack([points[:, 1], -points[:, 0]], axis=1)
        np.testing.assert_allclose(landmarks, points + (box[:2] + box[2:]) / 2, atol=0.01)


def test_one_turned_face_of_several_does_not_turn_the_photo() -> None:
    image, faces = photo_of(0)
    x, y, side = FACES[0]
    half = slice(x - side // 2, x + side // 2)
    image[y - side // 2 : y, half], image[y : y + side // 2, half] = 90, 200
    look = PhotoLook(faces, faces)
    found = uprighted(look, image, faces, score=0.5)
    assert not look.scores
    assert found.landmarks is not None
    assert faces.landmarks is not None
    assert np.abs(found.landmarks[0] - faces.landmarks[0]).max() > 5
    np.testing.assert_array_equal(found.landmarks[1:], faces.landmarks[1:])


def test_a_turned_photo_with_fainter_faces_does_not_count() -> None:
    image, faces = photo_of(2)
    for best, counts in ((0.55, False), (0.65, True)):
        fainter = Detections(faces.boxes, np.full(len(faces), best, np.float32), faces.landmarks)
        look = PhotoLook(fainter, fainter)
        found = uprighted(look, image, faces, score=0.5)
        assert look.scores == [0.5]
        assert (found.scores[0] == np.float32(best)) == counts


def test_nobody_in_any_direction() -> None:
    image, faces = photo_of(0)
    look = PhotoLook(faces[:0], faces[:0])
    assert len(uprighted(look, image, faces[:0], score=0.5)) == 0
    assert not look.scores
