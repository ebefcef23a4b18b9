"""Ten drawn photos with labels, and a small template to train."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketface.tasks.measuring import Labels

from ..small_training import drawn_photos, write_template

__all__ = ["drawn_photos"]


@pytest.fixture(scope="session")
def faces(drawn_photos: Labels) -> Path:
    """Annotations of the drawn photos, in the folder of the photos."""
    return drawn_photos.files[0]


@pytest.fixture(scope="session")
def small_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template.yaml that trains in a second."""
    return write_template(tmp_path_factory.mktemp("template") / "template.yaml")
