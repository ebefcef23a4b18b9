"""What the masks of a set show, so that faults of many are told in one line each."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...data.mask_pairs import MaskPair
from ...data.record_set import named
from ...errors import DataError
from ...model_templates.schema import BACKGROUND

_log = logging.getLogger(__name__)


class Truths:
    """Counts in how many heads each class is, and names those that are all one class.

    Args:
        classes: The template's: one, or several of which the first is `BACKGROUND`.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.names = [BACKGROUND, *classes] if len(classes) == 1 else list(classes)
        self.files: list[str] = []
        self._heads = np.zeros(len(self.names), np.int64)
        self._all: dict[str, list[str]] = {}

    def add(self, pair: MaskPair, truth: NDArray[np.uint8]) -> None:
        """Count a head's truth, uint8 (height, width), as `heads.read_head` has it."""
        found = np.bincount(truth.ravel(), minlength=len(self.names)) > 0
        self._heads += found
        self.files.append(pair.mask_path.name)
        if found.sum() == 1:
            name = self.names[int(found.argmax())]
            self._all.setdefault(name, []).append(pair.mask_path.name)

    def report(self) -> None:
        """Warn of heads that are all one class, and of classes that are in no head.

        Raises:
            DataError: No class but the background is in any head.
        """
        counted = zip(self.names, self._heads.tolist(), strict=True)
        absent = [name for name, heads in counted if not heads and name != BACKGROUND]
        if self.files and len(absent) == len(self.names) - 1:
            raise DataError(
                f"none of the {len(self.files)} masks has {' or '.join(absent)} in its head: "
                f"{named(self.files)}"
            )
        for name in absent:
            _log.warning("class %s is in none of the %d masks", name, len(self.files))
        for name, files in self._all.items():
            _log.warning(
                "%d of %d heads are all %s: %s", len(files), len(self.files), name, named(files)
            )
