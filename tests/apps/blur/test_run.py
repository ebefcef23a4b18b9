"""Several photos in one run."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pocketface.apps.blur import run
from pocketface.apps.blur.cover import Cover
from pocketface.apps.blur.photo import BlurredPhoto
from pocketface.apps.blur.request import Blurred, BlurRequest
from pocketface.errors import ImageError, MissingPackageError
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


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (ValueError("of a decoder"), False),
        (OSError(errno.ENAMETOOLONG, "File name too long"), False),
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (MemoryError(), True),
        (MissingPackageError("av"), True),
    ],
)
@pytest.mark.parametrize("writing", [False, True])
def test_what_fails_for_one_photo_stops_no_other(
    error: Exception,
    ends: bool,
    writing: bool,
    monkeypatch: pytest.MonkeyPatch,
    photos: list[Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def blur(content: bytes, **_: object) -> BlurredPhoto:
        if not writing and content == b"2.jpg":
            raise error
        return BlurredPhoto(content, ".jpg", (NOBODY,), 0, (NOBODY,))

    def tell(one: Blurred) -> None:
        if writing and one.path == photos[2]:
            raise error

    output = tmp_path / "out"
    settings: dict[str, Any] = {"output": output, "threads": 1, "on_blurred": tell}
    if ends:
        with pytest.raises(type(error)):
            blurred(monkeypatch, blur, photos, **settings)
        assert not (output / "3.jpg").exists()
    else:
        assert blurred(monkeypatch, blur, photos, **settings).failed == [photos[2]]
        assert (output / "3.jpg").exists()
        assert f"not blurred: {photos[2]}: {type(error).__name__}: " in caplog.text
