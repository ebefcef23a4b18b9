"""Shared fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one file go to one process, which makes their fixtures once."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photos beside the clone; the test is skipped where it is not."""
    if not _SHARED.is_dir():
        pytest.skip(f"needs the photos of {_SHARED}")
    return _SHARED
