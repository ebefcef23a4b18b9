"""`pocketface.blur`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

import pocketface
from pocketface.errors import UserError

HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def test_a_photo_and_a_folder(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(HOPPER, photos / "a.jpg")
    (photos / "text.jpg").write_text("a text")
    seen: list[str] = []
    counts: list[tuple[int, int]] = []
    summary = pocketface.blur(
        photos,
        tmp_path / "out",
        style="solid",
        on_blurred=lambda one: seen.append(one.output.name),
        on_progress=lambda done, total: counts.append((done, total)),
    )
    assert (summary.photos, summary.faces, summary.hidden) == (1, 1, 1)
    assert summary.failed == [photos / "text.jpg"]
    assert (seen, counts) == (["a.jpg"], [(1, 2), (2, 2)])
    face = pocketface.load("face-detection-n").predict(HOPPER).boxes[0]
    x, y = np.round((face[:2] + face[2:]) / 2).astype(int)
    after = pocketface.read_pixels(tmp_path / "out" / "a.jpg")
    assert after[y - 20 : y + 20, x - 20 : x + 20].max() < 5
    pocketface.blur(str(photos / "a.jpg"))
    assert (photos / "blurred_a.jpg").is_file()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"style": "pixelate"}, "--style pixelate: expected one of mosaic, gaussian"),
        ({"shape": "star"}, "--shape star: expected one of ellipse"),
        ({"grow": 0.2}, "--grow 0.2: expected 1 to 10"),
        ({"style": "replace"}, "--style replace: needs"),
        ({"max_fmr": 0.1}, "--max-fmr 0.1: goes with"),
        ({"keep_metadata": "date,gps"}, "--keep-metadata gps"),
        ({"resume": True}, "--resume: needs --output"),
        *(
            ({"tracks": "t.json", **one}, "--tracks t.json: says what is hidden, and goes without")
            for one in (
                {"score": 0.3},
                {"max_side": 1920},
                {"detector": "face-detection-s"},
                {"second_opinion": None},
                {"gallery": "people.gallery"},
            )
        ),
    ],
)
def test_mistakes(options: dict[str, Any], what: str, tmp_path: Path) -> None:
    photo = shutil.copy(HOPPER, tmp_path / "a.jpg")
    with pytest.raises(UserError, match=what):
        pocketface.blur(photo, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]
