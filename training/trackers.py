"""Experiment trackers: a training as a run of MLflow or a task of ClearML."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray

from ..errors import MissingPackageError, UserError
from ..files import atomic_write
from .tracker import End, RunStart, Tracker

_log = logging.getLogger(__name__)

_RUNS = Path("logs", "trackers.yaml")
"""Which runs of trackers belong to the training of a folder."""

_LONGEST = 250
"""Most letters of a parameter's value."""


def _mlflow(start: RunStart) -> Tracker:
    from .tracker_mlflow import MlflowRun

    return MlflowRun(start)


def _clearml(start: RunStart) -> Tracker:
    from .tracker_clearml import ClearmlTask

    return ClearmlTask(start)


TRACKERS: dict[str, Callable[[RunStart], Tracker]] = {"mlflow": _mlflow, "clearml": _clearml}

_PACKAGES = {"mlflow": ("mlflow", "sqlalchemy", "alembic"), "clearml": ("clearml",)}


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that are unknown or not installed.

    Raises:
        UserError: The name is unknown.
        MissingPackageError: A package is missing.
    """
    for name in names:
        if name not in TRACKERS:
            raise UserError(f"--tracker {name}: expected {' or '.join(TRACKERS)}")
        for package in _PACKAGES[name]:
            if find_spec(package) is None:
                raise MissingPackageError(package)


class TrackerLogger(Logger):
    """A tracker as a logger of Lightning; after its first failure it is silent.

    Args:
        name: Name of the tracker.
        tracker: The open run.
        epoch: Epochs before Lightning began to count.
        step: Steps before Lightning began to count.
    """

    def __init__(self, name: str, tracker: Tracker, *, epoch: int, step: int) -> None:
        super().__init__()
        self.tracker = tracker
        self._name = name
        self._epoch = epoch
        self._step = step
        self._failed = False

    @property
    def name(self) -> str:
        """Name of the tracker."""
        return self._name

    @property
    def version(self) -> str:
        """The run, for people."""
        return " ".join(self.tracker.run.values())

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """See the base class; epochs and steps count those of earlier starts too."""
        values = dict(metrics)
        if "epoch" in values:
            values["epoch"] += self._epoch + 1
        self._try(lambda: self.tracker.metrics(values, step=self._step + (step or 0)))

    def log_hyperparams(self, *args: Any, **_: Any) -> None:
        """See the base class."""
        (values,) = args
        self._try(lambda: self.tracker.parameters(dict(_flat(values))))

    def log_picture(self, name: str, picture: NDArray[np.uint8], *, step: int) -> None:
        """Add a picture, uint8 (H, W, 3), RGB."""
        self._try(lambda: self.tracker.picture(name, picture, step=self._step + step))

    def log_file(self, path: Path) -> None:
        """Keep a copy of a file, in place of an earlier one of that name."""
        self._try(lambda: self.tracker.file(path))

    def close(self, end: End) -> None:
        """Send all that waits, and say how the training ended."""
        self._try(lambda: self.tracker.close(end))

    def _try(self, action: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            action()
        except Exception as error:
            self._failed = True
            _log.warning(
                "--tracker %s: failed, and gets nothing more of this training, whose logs are "
                "whole in logs/: %s",
                self._name,
                one_line(error),
            )


@contextmanager
def tracked(
    names: Sequence[str],
    start: RunStart,
    *,
    goes_on: bool,
    first_epoch: int,
    steps_per_epoch: int,
) -> Iterator[list[TrackerLogger]]:
    """Open a run in each tracker, and close them when the block ends, by how it ends.

    Of the processes of one training the first has trackers.

    Args:
        names: Names in `TRACKERS`.
        start: What a new run begins with; `run` is ignored.
        goes_on: Whether the folder's runs are to go on.
        first_epoch: Epochs before Lightning began to count.
        steps_per_epoch: Optimizer steps per epoch.

    Yields:
        The trackers as loggers.

    Raises:
        UserError: A tracker cannot be opened.
    """
    loggers: list[TrackerLogger] = []
    end: End = "failed"
    place = start.output / _RUNS
    runs = _runs(place) if goes_on else {}
    try:
        for name in dict.fromkeys(names if rank_zero_only.rank == 0 else ()):  # type: ignore[attr-defined]
            tracker = _opened(name, replace(start, run=runs.get(name)))
            step = first_epoch * steps_per_epoch
            loggers.append(TrackerLogger(name, tracker, epoch=first_epoch, step=step))
            runs[name] = dict(tracker.run)
        if loggers:
            with atomic_write(place, "w") as file:
                yaml.safe_dump(runs, file)
        yield loggers
        end = "finished"
    except (KeyboardInterrupt, SystemExit):
        end = "stopped"
        raise
    finally:
        for logger in loggers:
            logger.close(end)


def one_line(error: Exception) -> str:
    """The first line of an error's message, or its type."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def _opened(name: str, start: RunStart) -> Tracker:
    try:
        return TRACKERS[name](start)
    except Exception as error:
        raise UserError(f"--tracker {name}: cannot be used: {one_line(error)}") from error


def _runs(path: Path) -> dict[str, dict[str, str]]:
    try:
        runs: dict[str, dict[str, str]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return runs


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as names with "/" and texts."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}/")
        else:
            yield f"{before}{key}", str(value)[:_LONGEST]
