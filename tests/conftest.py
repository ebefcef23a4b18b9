"""Shared fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photos beside the clone; the test is skipped where it is not."""
    if not _SHARED.is_dir():
        pytest.skip(f"needs the photos of {_SHARED}")
    return _SHARED
