"""Trainings as runs of MLflow."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..quiet import quiet
from .tracker import End, RunStart, new_parameters

_EXPERIMENT = "pocketface"
"""MLflow's name for what its runs belong to, unless MLFLOW_EXPERIMENT_NAME is set."""

_DEFAULTS = {
    # It tells its makers of every run by default.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # With its own 7 a training would wait for minutes for a server that is gone.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
}
"""Values of MLflow's variables where the user has set none."""

_STATUS = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}

_MOST_PARAMETERS = 100
"""Most of them in one request."""


class MlflowRun:
    """A run at MLFLOW_TRACKING_URI, or in `mlflow.db` in the training's folder.

    Lightning's `MLFlowLogger` is not used: it sets MLFLOW_TRACKING_URI for the whole process, and
    the next training would go to the same place.

    Attributes:
        run: `uri` of the tracking server or file, and the run's `id`.
    """

    def __init__(self, start: RunStart) -> None:
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        with quiet():  # it tells of every step that makes a new file
            from mlflow import MlflowClient
            from mlflow.tracking.context.registry import resolve_tags

            own = not os.environ.get("MLFLOW_TRACKING_URI")
            folder = start.output.resolve()
            uri = _sqlite(folder / "mlflow.db") if own else os.environ["MLFLOW_TRACKING_URI"]
            artifacts = (folder / "mlflow-artifacts").as_uri() if own else None
            self._client = MlflowClient(uri)
            known = start.run is not None and start.run["uri"] == uri
            run = _active(self._client, start.run["id"]) if start.run and known else None
            if run is None:
                experiment = _experiment(self._client, artifacts)
                tags = resolve_tags()
                made = self._client.create_run(experiment, run_name=start.name, tags=tags)
                run = made.info.run_id
            else:
                self._client.update_run(run, status="RUNNING")
        self._id = run
        self._epochs = start.epochs
        self.run: Mapping[str, str] = {"uri": uri, "id": run}

    def parameters(self, values: Mapping[str, str]) -> None:
        """See `Tracker`; MLflow lets none be changed."""
        from mlflow.entities import Param

        known = self._client.get_run(self._id).data.params
        new = new_parameters(values, known, epochs=self._epochs)
        params = [Param(name, value) for name, value in new.items()]
        for first in range(0, len(params), _MOST_PARAMETERS):
            self._client.log_batch(self._id, params=params[first : first + _MOST_PARAMETERS])

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """See `Tracker`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def picture(self, name: str, picture: NDArray[np.uint8], *, step: int) -> None:
        """See `Tracker`."""
        self._client.log_image(self._id, picture, key=name, step=step, synchronous=True)

    def file(self, path: Path) -> None:
        """See `Tracker`."""
        self._client.log_artifact(self._id, str(path))

    def close(self, end: End) -> None:
        """See `Tracker`."""
        self._client.set_terminated(self._id, _STATUS[end])


def _sqlite(path: Path) -> str:
    """SQLAlchemy's name for a file; no more quoted than needed, as MLflow makes the raw folder."""
    return f"sqlite:///{path.as_posix().replace('%', '%25').replace('?', '%3F')}"


def _active(client: Any, run: str) -> str | None:
    """The run if it is there and not deleted."""
    from mlflow.exceptions import MlflowException

    try:
        there = client.get_run(run).info.lifecycle_stage == "active"
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        there = False
    return run if there else None


def _experiment(client: Any, artifacts: str | None) -> str:
    """The experiment's id; it is made, with its artifacts there, if it is not there."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT
    found = client.get_experiment_by_name(name)
    made = client.create_experiment(name, artifacts) if found is None else found.experiment_id
    return str(made)
