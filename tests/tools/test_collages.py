"""Collages of portraits: landmarks of a list lie in them where they lay in the crops."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pocketface.data.images import read_image
from pocketface.results import LANDMARK_NAMES
from pocketface.tools import collages
from pocketface.tools.landmarks import face_box

POINTS = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.55], [0.4, 0.7], [0.6, 0.7]])
COLOURS = [(0, 0, 255), (0, 255, 0), (255, 0, 0), (0, 255, 255), (255, 255, 0)]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A list of 12 crops of several shapes, with a dot of its own colour at each landmark."""
    names = [f"{axis}_{name}" for name in LANDMARK_NAMES for axis in "xy"]
    lines = [f"split,image,glasses,{','.join(names)},pose"]
    (tmp_path / "images").mkdir()
    for number in range(collages.COLUMNS * collages.ROWS):
        width, height = 200 + 20 * number, 320 - 10 * number
        corner, side = np.array([width - min(width, height), 0]) / 2, min(width, height)
        points = POINTS * side + corner
        image = np.zeros((height, width, 3), np.uint8)
        for (x, y), colour in zip(points, COLOURS, strict=True):
            cv2.circle(image, (round(x), round(y)), side // 40, colour, -1)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), image)
        lines.append(f"train,{number}.png,0,{','.join(map(str, points.ravel()))},3")
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(lines))
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["collages.py", *map(str, arguments)])
    collages.main()


def test_landmarks_lie_where_they_lay(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, labels, "--output", tmp_path / "sheets")
    sheet = read_image(tmp_path / "sheets" / "0000.webp")
    found = tmp_path / "faces.json"
    x, y, right, bottom = face_box(POINTS * collages.SIDE).tolist()
    corners = [[x + 200 * column, y + 200 * row] for column in range(4) for row in range(3)]
    boxes = [[*corner, right - x, bottom - y] for corner in corners]
    faces = [
        {"id": n, "image_id": 7, "bbox": box, "landmarks": [1] * 10} for n, box in enumerate(boxes)
    ]
    faces.append({"id": 99, "image_id": 7, "bbox": [0, 0, 30, 30], "landmarks": [1] * 10})
    images = [{"id": 7, "file_name": "0000.webp", "width": 800, "height": 600}]
    content = {"images": images, "annotations": faces, "categories": []}
    found.write_text(json.dumps(content))
    run(monkeypatch, labels, "--landmarks-into", found)
    *given, beside = json.loads(found.read_text())["annotations"]
    assert beside["landmarks"] == [1] * 10
    for face in given:
        points = np.array(face["landmarks"]).reshape(5, 2)
        for (x, y), colour in zip(points, COLOURS, strict=True):
            pixel = sheet[round(y), round(x)].astype(int)
            assert np.abs(pixel - colour).max() < 60, (face, pixel, colour)
