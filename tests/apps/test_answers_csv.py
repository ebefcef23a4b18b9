"""What is in the CSV of answers, read by somebody else's reader."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from pocketface.apps.answers_csv import COLUMNS, answers_csv
from pocketface.apps.classify import NO_FACE, PhotoAnswer
from pocketface.results import Classification, Detections

NAMES = (
    "plain.jpg",
    "Tom, Dick and Harry.jpg",
    'the "good" one.jpg',
    '",".jpg',
    "two\nlines.jpg",
    " spaces .jpg",
    "фото.jpg",
    os.fsdecode(b"h\xff.jpg"),
)


def _answer(name: str, *labels: str) -> PhotoAnswer:
    boxes = np.arange(4 * len(labels), dtype=np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.5, len(labels), dtype=np.float32)
    found = tuple(
        Classification(label, index, 0.75, np.array([0.25, 0.75], np.float32))
        for index, label in enumerate(labels)
    )
    answer = labels[-1] if labels else NO_FACE
    return PhotoAnswer(Path(name), answer, Detections(boxes, scores), found)


def test_any_name_and_label_comes_back_as_it_was(tmp_path: Path) -> None:
    labels = ("no, none", 'some "kind" of')
    path = tmp_path / "answers.csv"
    with answers_csv(path) as write:
        for name in NAMES:
            write(_answer(name, *labels))
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as handle:
        rows = list(csv.reader(handle, strict=True))
    assert rows[0] == list(COLUMNS)
    assert all(len(row) == len(COLUMNS) for row in rows)
    found = [(row["image"], row["answer"], row["face"], row["label"]) for row in _named(rows)]
    assert found == [
        (name, labels[-1], str(index), label)
        for name in NAMES
        for index, label in enumerate(labels)
    ]


def test_a_row_for_each_face_and_one_for_a_photo_without(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    with answers_csv(path) as write:
        write(_answer("a.jpg", "glass"))
        write(_answer("b.jpg"))
    head, first, second = path.read_text().splitlines()
    assert head == ",".join(COLUMNS)
    assert first == "a.jpg,glass,1,0,0.0,1.0,2.0,3.0,0.9000,glass,0.7500"
    assert second == f"b.jpg,{NO_FACE},0,,,,,,,,"


def test_it_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    with answers_csv(path) as write:
        write(_answer("a.jpg", "glass"))
        assert not path.exists()
    assert path.exists()
    before = path.read_bytes()
    with pytest.raises(AttributeError), answers_csv(path) as write:
        write(None)  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def _named(rows: list[list[str]]) -> list[dict[str, str]]:
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
