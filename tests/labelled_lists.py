"""Lists of labelled faces for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketface.data.labelled_faces import labelled_faces_text


def write_labelled_faces(
    path: Path, rows: Sequence[tuple[str, str, NDArray[np.float32] | None]]
) -> None:
    """Write such a list, or another one in its place."""
    path.write_text(
        labelled_faces_text(rows), encoding="utf-8", errors="surrogateescape", newline="\n"
    )
