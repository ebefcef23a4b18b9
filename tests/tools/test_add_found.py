"""Faces that others see: joined, and added to labels that have not got them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pocketface.tools import add_found
from pocketface.tools.add_found import Found


def found(*faces: tuple[list[float], float], mark: float = 0) -> Found:
    """Faces of boxes and scores, all landmarks at `mark`."""
    return Found(
        np.array([box for box, _ in faces], np.float32).reshape(-1, 4),
        np.full((len(faces), 5, 2), mark, np.float32),
        np.array([score for _, score in faces], np.float32),
    )


def test_a_face_that_several_see_is_one() -> None:
    seen = [
        found(([0, 0, 10, 10], 0.9), ([50, 50, 60, 60], 0.6), mark=1),
        found(([0, 0, 10, 12], 0.3), ([1, 0, 11, 10], 0.2), mark=2),
        found(mark=3),
    ]
    faces = add_found.together(seen)
    np.testing.assert_allclose(faces.scores, [0.4, 0.2], rtol=1e-6)
    np.testing.assert_allclose(faces.boxes, [[0, 0, 10, 10.5], [50, 50, 60, 60]], rtol=1e-6)
    assert faces.landmarks[0, 0].tolist() == [1, 1]


def test_nothing_seen_is_no_face() -> None:
    assert add_found.together([found(), found()]).boxes.shape == (0, 4)


@pytest.mark.parametrize("doubtful", [False, True])
def test_what_no_label_has_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doubtful: bool
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((100, 100, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((100, 100, 3), np.uint8))
    content: dict[str, Any] = {
        "categories": [{"id": 1, "name": "face"}],
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [
            {"id": 7, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10], "iscrowd": 0},
            {"id": 9, "image_id": 1, "category_id": 1, "bbox": [80, 80, 10, 10], "iscrowd": 0},
        ],
    }
    faces = found(
        ([0, 0, 10, 11], 0.9), ([20, 20, 30, 40], 0.7), ([40, 40, 50, 50], 0.3),
        ([60, 60, 70, 70], 0.1), mark=25,
    )  # fmt: skip
    answers = iter([faces, found()])
    monkeypatch.setattr(add_found, "look", lambda *_: next(answers))
    annotations, counts = add_found.completed(
        content,
        [object()],  # type: ignore[list-item]
        tmp_path,
        sure=0.5,
        maybe=0.2,
        doubtful=doubtful,
    )
    assert [one["id"] for one in annotations] == [7, 9, 10, 11]
    assert [one["image_id"] for one in annotations] == [1, 1, 1, 1]
    assert annotations[2]["bbox"] == [20, 20, 10, 20]
    assert annotations[2]["landmarks_pseudo"] == [25] * 10
    assert [one["iscrowd"] for one in annotations] == [0, int(doubtful), 0, 1]
    assert counts["added as a face"] == counts["added to ignore"] == 1
    assert counts["not seen, ignored"] == int(doubtful)
