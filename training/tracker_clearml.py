"""Trainings as tasks of ClearML."""

from __future__ import annotations

import logging
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .tracker import End, RunStart, new_parameters

_log = logging.getLogger(__name__)

_PROJECT = "pocketface"

# fmt: off
_COLLECTED = (
    "catboost", "detect_repository", "fastai", "gradio", "hydra", "joblib", "lightgbm",
    "matplotlib", "megengine", "pytorch", "scikit", "tensorboard", "tensorflow", "tfdefines",
    "xgboost",
)
# fmt: on
"""What ClearML collects by itself. The repository that it looks for, for minutes at times, would be
this package's, as its code calls."""

_SECTION = "General"
"""ClearML's section for parameters whose names have none."""


class ClearmlTask:
    """A task on the server of the user's clearml.conf, or without one a session in a file.

    If the program has a task already, it is used, and left open.

    Attributes:
        run: The task's `id`.
    """

    def __init__(self, start: RunStart) -> None:
        with _kept_apart():
            from clearml import Task
            from clearml.backend_api.session.defs import MissingConfigError

            running: Any = Task.current_task()
            try:
                task = running or _begun(start)
            except MissingConfigError:
                _log.info("--tracker clearml: no clearml.conf, so the task stays in a file here")
                Task.set_offline(True)
                task = _begun(start)
        self._task = task
        self._is_ours = running is None
        self._output = start.output
        self._epochs = start.epochs
        self.run: Mapping[str, str] = {"id": task.id}

    def parameters(self, values: Mapping[str, str]) -> None:
        """See `Tracker`."""
        named = {
            name if "/" in name else f"{_SECTION}/{name}": value for name, value in values.items()
        }
        known = self._task.get_parameters()
        self._task.update_parameters(new_parameters(named, known, epochs=self._epochs))

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """See `Tracker`; what is before "/" in a curve's name is its plot."""
        for name, value in values.items():
            plot, _, curve = name.partition("/")
            self._task.get_logger().report_scalar(plot, curve or plot, value, iteration=step)

    def picture(self, name: str, picture: NDArray[np.uint8], *, step: int) -> None:
        """See `Tracker`."""
        self._task.get_logger().report_image(name, "validation", iteration=step, image=picture)

    def file(self, path: Path) -> None:
        """See `Tracker`."""
        self._task.upload_artifact(path.name, path, wait_on_upload=True)

    def close(self, end: End) -> None:
        """See `Tracker`; takes some seconds, in which threads of ClearML wait for each other."""
        with _kept_apart():
            self._task.flush(wait_for_uploads=True)
            if not self._is_ours:
                return
            if end != "finished":
                # The tag is for sessions in a file, which have no status.
                self._task.add_tags([end])
                (self._task.mark_stopped if end == "stopped" else self._task.mark_failed)()
            folder = self._task.get_offline_mode_folder()
            self._task.close()
            if folder is not None:
                self._keep(folder)

    def _keep(self, folder: Path) -> None:
        """Move the session's file from ClearML's cache to the training's folder."""
        file = self._output / f"clearml-{self.run['id']}.zip"
        shutil.move(f"{folder}.zip", file)
        shutil.rmtree(folder)
        _log.info("--tracker clearml: send it by Task.import_offline_session(%r)", str(file))


def _begun(start: RunStart) -> Any:
    """Go on with a task, or begin one, without what ClearML collects by itself."""
    from clearml import Task

    goes_on = start.run is not None and not Task.is_offline()
    task: Any = Task.init(
        project_name=_PROJECT,
        task_name=start.name,
        reuse_last_task_id=start.run["id"] if start.run is not None and goes_on else False,
        continue_last_task=goes_on,
        output_uri=False,
        auto_connect_arg_parser=False,
        auto_connect_frameworks=dict.fromkeys(_COLLECTED, False),
        auto_resource_monitoring=False,
        auto_connect_streams=False,
    )
    if goes_on:
        task.set_initial_iteration(0)  # our steps count earlier starts already
    return task


@contextmanager
def _kept_apart() -> Iterator[None]:
    """Leave signals to the training, and standard output to its results."""
    here = threading.current_thread() is threading.main_thread()
    handlers = {one: signal.getsignal(one) for one in signal.valid_signals()} if here else {}
    try:
        with redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of its use of other packages
            yield
    finally:
        for one, handler in handlers.items():
            if handler is not None and signal.getsignal(one) != handler:
                signal.signal(one, handler)
