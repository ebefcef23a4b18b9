"""Several photos in one run."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pocketface.apps.blur import run
from pocketface.apps.blur.cover import Cover
from pocketface.apps.blur.photo import BlurredPhoto
from pocketface.apps.blur.request import BlurRequest
from pocketface.errors import ImageError
from pocketface.results import Detections

NOBODY = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.jpg" for number in range(4)]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


def blurred(monkeypatch: pytest.MonkeyPatch, blur: Any, photos: list[Path], **more: Any) -> Any:
    """Run with `blur` as the way to hide the faces of one photo."""
    blurrer = SimpleNamespace(blur=blur, cover=Cover(), who=None)
    monkeypatch.setattr(run, "open_blurrer", lambda *_, **__: blurrer)
    return run.blur(BlurRequest(sources=photos, detector=Path("none"), **more))


def test_as_many_photos_as_threads_are_looked_at_at_once_and_written_in_order(
    monkeypatch: pytest.MonkeyPatch, photos: list[Path], tmp_path: Path
) -> None:
    together = threading.Barrier(2, timeout=20)  # broken if one is looked at after the other

    def blur(content: bytes, **_: object) -> BlurredPhoto:
        together.wait()
        return BlurredPhoto(content, ".jpg", (NOBODY,), 0, (NOBODY,))

    told: list[Path] = []
    summary = blurred(
        monkeypatch,
        blur,
        photos,
        output=tmp_path / "out",
        threads=2,
        on_blurred=lambda one: told.append(one.path),
    )
    assert told == photos
    assert summary.photos == 4
    for path in photos:
        assert (tmp_path / "out" / path.name).read_bytes() == path.name.encode()


def test_a_photo_that_fails_ahead_of_its_turn_is_named_at_its_turn(
    monkeypatch: pytest.MonkeyPatch, photos: list[Path], tmp_path: Path
) -> None:
    def blur(content: bytes, *, source: str) -> BlurredPhoto:
        if content == b"2.jpg":
            raise ImageError(f"{source}: no photo")
        return BlurredPhoto(content, ".jpg", (NOBODY,), 0, (NOBODY,))

    summary = blurred(monkeypatch, blur, photos, output=tmp_path / "out", threads=3)
    assert summary.failed == [photos[2]]
    assert summary.photos == 3
    assert not (tmp_path / "out" / "2.jpg").exists()
