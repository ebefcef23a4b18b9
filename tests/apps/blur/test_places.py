"""Where blurred photos and videos go."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketface.apps.blur.places import blurred_places, find_media
from pocketface.errors import UserError


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def places(*sources: str, output: str | None = None, force: bool = False) -> dict[str, str]:
    given = [Path(source) for source in sources]
    media = find_media(given)
    found = blurred_places(media, output and Path(output), given=given, force=force)
    return {str(path): str(place) for path, place in found.items()}


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_videos_are_mp4() -> None:
    touch("in/a.mov", "in/b.mov", "in/b.mp4", "in/b.jpg", "in/notes.txt")
    assert places("in", output="out") == {
        "in/a.mov": "out/a.mp4",
        "in/b.mov": "out/b.mov.mp4",
        "in/b.mp4": "out/b.mp4.mp4",
        "in/b.jpg": "out/b.jpg",
    }
    assert places("in/a.mov", "in/b.mov", "in/b.mp4") == {
        "in/a.mov": "in/blurred_a.mp4",
        "in/b.mov": "in/blurred_b.mov.mp4",
        "in/b.mp4": "in/blurred_b.mp4.mp4",
    }


def test_what_was_named_twice_is_done_once() -> None:
    touch("in/a.jpg", "in/blurred_b.jpg", "in/.hidden.jpg")
    assert places("in", "in/a.jpg", "./in/../in/a.jpg") == {"in/a.jpg": "in/blurred_a.jpg"}
    assert list(places("in/blurred_b.jpg")) == ["in/blurred_b.jpg"]


def test_a_source_is_never_replaced() -> None:
    touch("a.jpg", "blurred_a.jpg")
    for force in (False, True):
        with pytest.raises(UserError, match=r"would be blurred_a.jpg, which is to be blurred too"):
            places("a.jpg", "blurred_a.jpg", force=force)
    with pytest.raises(UserError, match="is there already"):
        places("a.jpg")
    assert places("a.jpg", force=True) == {"a.jpg": "blurred_a.jpg"}


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    touch("in/a.jpg")
    monkeypatch.setattr("pocketface.files.os.access", lambda *_: False)
    with pytest.raises(UserError, match="cannot be written"):
        places("in")
