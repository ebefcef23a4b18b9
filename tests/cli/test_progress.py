"""Commands that take longer than a moment show how far they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Count = tuple[str, int, int]

EXPORT = "export --load-weights tiny.pth --save-model-to out --no-verify --formats"
COMPRESS = (
    "compress --load-weights tiny.pth --post-training --formats onnx --precision int8,fp16 "
    "--photos 1 --max-drop 100 --goal size --save-checkpoints-to small "
    "--train-ann-files faces.json --train-data-roots . --val-ann-files faces.json "
    "--val-data-roots ."
)


@pytest.fixture
def counts(place: Path, monkeypatch: pytest.MonkeyPatch) -> list[Count]:
    """What bars are told: the unit, how many are done, and of how many."""
    box = {"bbox": [20, 20, 40, 50], "area": 2000, "iscrowd": 0}
    content = {
        "categories": [{"id": 1, "name": "face"}],
        "images": [{"id": 1, "file_name": "photo.jpg", "width": 160, "height": 120}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, **box}],
    }
    (place / "faces.json").write_text(json.dumps(content))
    told: list[Count] = []

    @contextmanager
    def progress(unit: str) -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: told.append((unit, done, total))

    for name in ("export", "verify", "compress", "eval"):
        monkeypatch.setattr(f"pocketface.cli.{name}.progress", progress)
    return told


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (f"{EXPORT} onnx,openvino", [("formats", 0, 2), ("formats", 1, 2), ("formats", 2, 2)]),
        (
            "verify model --load-weights tiny.pth",
            [("files", 0, 2), ("files", 1, 2), ("files", 2, 2)],
        ),
        (COMPRESS, [("files", 0, 2), ("files", 1, 2), ("files", 2, 2)]),
        (
            "eval --load-weights model/model.onnx --test-ann-files faces.json --test-data-roots .",
            [("photos", 1, 1)],
        ),
    ],
)
def test_progress(
    run: Callable[..., Any], counts: list[Count], command: str, expected: list[Count]
) -> None:
    done = run(*command.split())
    assert done.code in (0, 1), done.err
    assert counts == expected
