"""ONNX Runtime tells nobody what it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has another way")
def test_a_session_leaves_no_mark_of_reports(
    tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    """Where it reports, it keeps `.ses` in the temporary folder."""
    model = make_model([[10, 10, 20, 20]], [0.9])
    place = tmp_path / "temporary"
    place.mkdir()
    # Only what it needs: it reports nothing where a variable says that this is a test.
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH")}
    code = "import sys, pocketface; pocketface.load(sys.argv[1])"
    command = [sys.executable, "-c", code, str(model)]
    subprocess.run(command, env={**kept, "TMPDIR": str(place)}, check=True, cwd=tmp_path)
    assert list(place.iterdir()) == []
