"""What a training tells: after every epoch, and at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EpochReport:
    """One epoch that is over, with its checkpoint written.

    Attributes:
        epoch: Number of epochs done, those of a resumed run included; 1 for the first.
        epochs: Total number of epochs.
        loss: Mean loss of the epoch's samples.
        figures: Figures on the validation photos by key, 0 to 1; empty without photos, or where
            this epoch was not validated.
        is_best: Whether it is the best so far on the validation photos, and is best.pth.
    """

    epoch: int
    epochs: int
    loss: float
    figures: Mapping[str, float]
    is_best: bool


@dataclass(frozen=True)
class FitReport:
    """The results of a training.

    Attributes:
        latest: The checkpoint of the last epoch.
        best: The checkpoint with the best figure on the validation photos, or the newest where it
            cannot be measured on them; None without photos.
        best_value: The best figure, 0 to 1; None if it was not measured.
        metric_name: Name of that figure.
        epochs: Total number of epochs, including those of a resumed run.
        written: Files for people to look at; empty in processes other than the first.
    """

    latest: Path
    best: Path | None
    best_value: float | None
    metric_name: str
    epochs: int
    written: tuple[Path, ...] = ()
