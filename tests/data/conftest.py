"""A small COCO set, a picture, and folders of masks for the tests of the readers."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from .mask_folders import VALUES, Make

_GOOD: dict[str, Any] = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "width": 100, "height": 80},
        {"id": 9, "file_name": "sub/b.jpg", "width": 50, "height": 60},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 40]},
        {"id": 2, "image_id": 7, "category_id": 3, "bbox": [90.5, -5, 30, 15], "iscrowd": 1},
        {"id": 3, "image_id": 7, "category_id": 4, "bbox": [1, 1, 5, 5]},
    ],
    "categories": [{"id": 3, "name": "face"}, {"id": 4, "name": "car"}],
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Writes a COCO file and (empty) image files for it."""

    def write(
        content: object,
        *,
        name: str = "faces.json",
        images: tuple[str, ...] = ("a.jpg", "sub/b.jpg"),
        folder: str = "photos",
    ) -> tuple[Path, Path]:
        root = tmp_path / folder
        for image in images:
            (root / image).parent.mkdir(parents=True, exist_ok=True)
            (root / image).touch()
        root.mkdir(exist_ok=True)
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file, root

    return write


@pytest.fixture
def good() -> dict[str, Any]:
    """Two photos; the first has two faces (one a crowd, partly outside) and a car."""
    return copy.deepcopy(_GOOD)


@pytest.fixture
def picture() -> Image.Image:
    """30 x 20, every quadrant another colour."""
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:10, :15] = (250, 0, 0)
    pixels[:10, 15:] = (0, 250, 0)
    pixels[10:, :15] = (0, 0, 250)
    pixels[10:, 15:] = (200, 200, 50)
    return Image.fromarray(pixels)


@pytest.fixture
def make_pairs(tmp_path: Path) -> Make:
    """Writes photos, and a mask for each; see `VALUES`."""

    def make(*names: str, mask: Image.Image | None = None) -> tuple[Path, Path]:
        for name in names or ("a.jpg", "b.jpg", "sub/c.png", "d.webp"):
            photo = tmp_path / "photos" / name
            photo.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), (90, 60, 200)).save(photo)
            path = (tmp_path / "labels" / name).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            (mask or Image.fromarray(VALUES)).save(path)
        return tmp_path / "photos", tmp_path / "labels"

    return make
