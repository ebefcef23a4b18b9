"""What a training asks of an experiment tracker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

End = Literal["finished", "failed", "stopped"]
"""How a training ended; "stopped" by Ctrl-C or SIGTERM."""


class Tracker(Protocol):
    """An open run of a tracker. Any exception of its methods ends the tracking, no more.

    Attributes:
        run: What the tracker needs to go on with the run later.
    """

    run: Mapping[str, str]

    def parameters(self, values: Mapping[str, str]) -> None:
        """Add those of the `new_parameters`."""

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Add a point to each of these curves."""

    def picture(self, name: str, picture: NDArray[np.uint8], *, step: int) -> None:
        """Add a picture, uint8 (H, W, 3), RGB."""

    def file(self, path: Path) -> None:
        """Keep a copy of a file, in place of an earlier one of that name."""

    def close(self, end: End) -> None:
        """Send all that waits, and say how the training ended."""


@dataclass(frozen=True)
class RunStart:
    """What a tracker is to begin or to go on with.

    Attributes:
        output: The training's folder.
        name: Name for a new run.
        epochs: Epochs behind this start.
        run: `Tracker.run` of the run to go on with; None for a new one.
    """

    output: Path
    name: str
    epochs: int
    run: Mapping[str, str] | None = None


def new_parameters(
    values: Mapping[str, str], known: Mapping[str, str], *, epochs: int
) -> dict[str, str]:
    """The parameters that a run does not have yet.

    Args:
        values: Parameters of this start.
        known: Those of the run so far.
        epochs: Epochs behind this start; part of the names of those that are not as before.
    """
    changed = {name for name, value in values.items() if known.get(name, value) != value}
    named = {
        f"{name} from epoch {epochs + 1}" if name in changed else name: value
        for name, value in values.items()
    }
    return {name: value for name, value in named.items() if name not in known}
