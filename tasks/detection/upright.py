"""Which way up a face is: faces that lie on their side or upside down, and photos that do.

A detector that finds such a face often takes it for an upright one. Cut out and turned by all
quarter turns, it has the highest score where it is upright. Of 289 faces of photos turned by 180
degrees face-detection-n finds 125 with one look, none of them the right way up, and so 286; by 90
degrees 109 the right way up, and so 275 (docs/reports/robustness.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ...data.align import cut_face
from ...model_templates.contract import InputSpec
from ...results import Detections

SURE = 0.9
"""Score from which on a face is upright: of turned ones hardly one reaches it."""

SMALL = 24
"""Longer side in pixels below which a face is left as it is."""

CELL = 160
"""Side of a cut face with its surroundings, in pixels."""

SIDE = 640
"""Side of the sheet of turned faces that the detector looks at."""

SURROUNDED = 3.0
"""Side of what is cut, as a multiple of the face's longer side."""

BETTER = 0.05
"""By how much a turned face's score has to be above that of the face as it is."""

ALONE = 0.7
"""Lowest score of a face in a turned photo in which, as it is, no face is found. Of 115 photos of
MTFL turned by quarter turns face-detection-n finds 35 of 345 only so, and loses one; of 234 photos
without people it takes one for a face."""

PERHAPS = 0.3
"""Lowest score in a small copy for which the photo itself is looked at turned."""

FAINT = 0.05
"""Lowest score that is looked at."""

_ACROSS = SIDE // CELL
_AT_ONCE = _ACROSS**2 // 4
_SPEC = InputSpec(shape=(1, 3, CELL, CELL), resize="stretch")

Pixels = NDArray[np.uint8]
Points = NDArray[np.float32]
Look = Callable[[Pixels, float], Detections]
"""Function from a photo and the lowest score to the faces in it."""


def upright(look: Look, image: Pixels, faces: Detections, *, score: float) -> Detections:
    """The faces of a photo that may lie on its side or be upside down, or faces in it.

    Where all faces together are surer in another direction, the whole photo is looked at turned:
    more faces are found so, and fewer things are taken for faces. That counts if the best face is
    better than before. Where no face was found, three small copies tell whether that is worth it.

    Args:
        look: Finds faces.
        image: uint8 (H, W, 3), BGR.
        faces: The faces that were found in it as it is.
        score: Lowest score of a face in the turned photo.
    """
    if not len(faces):
        likely = _likely_turns(look, image)
        return _look_turned(look, image, likely, max(score, ALONE)) if likely else faces
    faces, scores = turned_upright(look, image, faces)
    surest = int(scores.sum(0).argmax())
    if surest:
        found = _look_turned(look, image, surest, score)
        if found.scores.max(initial=0) > faces.scores.max():
            return found
    return faces


def turned_upright(
    look: Look, image: Pixels, faces: Detections
) -> tuple[Detections, NDArray[np.float32]]:
    """The faces with landmarks of the way up in which each has the highest score.

    Args:
        look: Finds faces with landmarks.
        image: uint8 (H, W, 3), BGR.
        faces: The faces that were found in it; boxes and scores stay.

    Returns:
        The faces, and the score of each after so many quarter turns to the left, float32 (N, 4);
        of one that is not looked at again its own, and 0.
    """
    of_faces = np.pad(faces.scores[:, None], ((0, 0), (0, 3)))
    sides = (faces.boxes[:, 2:] - faces.boxes[:, :2]).max(1, initial=0)
    doubtful = np.flatnonzero((faces.scores < SURE) & (sides >= SMALL))
    if faces.landmarks is None or not len(doubtful):
        return faces, of_faces
    landmarks = faces.landmarks.copy()
    for start in range(0, len(doubtful), _AT_ONCE):
        some = doubtful[start : start + _AT_ONCE]
        cuts = [_cut(faces.boxes[place]) for place in some]
        sheet = np.zeros((SIDE, SIDE, 3), np.uint8)
        for place, cut in enumerate(cuts):
            cell = cut_face(image, cut, _SPEC)
            for turns in range(4):
                x, y = _corner(4 * place + turns)
                sheet[y : y + CELL, x : x + CELL] = np.rot90(cell, turns)
        scores, points = _best_of_cells(look(sheet, FAINT), 4 * len(some))
        for place, (face, cut) in enumerate(zip(some, cuts, strict=True)):
            of_turns = of_faces[face] = scores[4 * place : 4 * place + 4]
            turns = int(of_turns.argmax())
            if turns and of_turns[turns] > of_turns[0] + BETTER:
                flat = turned_back(points[4 * place + turns], CELL, CELL, turns)
                landmarks[face] = cv2.transform(flat[None], cv2.invertAffineTransform(cut))[0]
    return replace(faces, landmarks=landmarks), of_faces


def turned_back(points: Points, height: int, width: int, turns: int) -> Points:
    """Points of a picture that was turned, in the picture before.

    Args:
        points: float32 (..., 2).
        height: Height of the picture before.
        width: Its width.
        turns: By how many quarter turns to the left it was turned (`numpy.rot90`).
    """
    for done in range(turns, 0, -1):
        side = width if done % 2 else height  # of the picture before the last turn
        points = np.stack([side - points[..., 1], points[..., 0]], axis=-1)
    return points.astype(np.float32)


def _likely_turns(look: Look, image: Pixels) -> int:
    """By how many quarter turns to the left a photo shows its surest face; 0 if it has none."""
    half = SIDE // 2
    sheet = np.zeros((SIDE, SIDE, 3), np.uint8)
    scale = half / max(image.shape[:2])
    size = [max(1, round(scale * side)) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    for turns in (1, 2, 3):
        copy = np.rot90(small, turns)
        y, x = half * (turns // 2), half * (turns % 2)
        sheet[y : y + copy.shape[0], x : x + copy.shape[1]] = copy
    found = look(sheet, PERHAPS)
    if not len(found):
        return 0
    column, row = ((found.boxes[0, :2] + found.boxes[0, 2:]) / 2 // half).clip(0, 1).astype(int)
    return int(2 * row + column)


def _look_turned(look: Look, image: Pixels, turns: int, score: float) -> Detections:
    """The faces of a photo that is looked at after so many quarter turns to the left."""
    found = look(np.ascontiguousarray(np.rot90(image, turns)), score)
    height, width = image.shape[:2]
    corners = turned_back(found.boxes.reshape(-1, 2, 2), height, width, turns)
    boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1)
    landmarks = found.landmarks
    if landmarks is not None:
        landmarks = turned_back(landmarks, height, width, turns)
    return Detections(boxes, found.scores, landmarks)


def _cut(box: NDArray[np.float32]) -> NDArray[np.float64]:
    """The transform (2, 3) from a photo to the cell of a face."""
    centre = (box[:2] + box[2:]) / 2
    scale = CELL / (SURROUNDED * float((box[2:] - box[:2]).max()))
    return np.column_stack([scale * np.eye(2), CELL / 2 - scale * centre])


def _corner(cell: int) -> tuple[int, int]:
    """The top left corner of a cell in the sheet, x and y."""
    return CELL * (cell % _ACROSS), CELL * (cell // _ACROSS)


def _best_of_cells(found: Detections, count: int) -> tuple[NDArray[np.float32], Points]:
    """Of each cell the best score of a face in its middle, 0 without one, and its landmarks."""
    scores, points = np.zeros(count, np.float32), np.zeros((count, 5, 2), np.float32)
    assert found.landmarks is not None
    for box, score, landmarks in zip(found.boxes, found.scores, found.landmarks, strict=True):
        column, row = ((box[:2] + box[2:]) / 2 // CELL).astype(int)
        cell = int(_ACROSS * row + column)
        if not 0 <= cell < count or score <= scores[cell]:
            continue
        corner = np.array(_corner(cell), np.float32)
        off = (box[:2] + box[2:]) / 2 - corner - CELL / 2
        side = float((box[2:] - box[:2]).max()) * SURROUNDED / CELL
        if np.abs(off).max() < CELL / 4 and 0.5 < side < 1.6:
            scores[cell], points[cell] = score, landmarks - corner
    return scores, points
