"""Trainings that MLflow and ClearML are told of, read back by those packages' own means."""

from __future__ import annotations

import io
import json
import signal
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from torch import Tensor

from pocketface.cli.train import TRACKERS as NAMES
from pocketface.errors import MissingPackageError, UserError
from pocketface.files import sha256_file
from pocketface.models.weights import read_weights, write_weights
from pocketface.training import module as module_file
from pocketface.training import trackers as trackers_file
from pocketface.training.fit import fit
from pocketface.training.request import FitRequest
from pocketface.training.tracker import new_parameters
from pocketface.training.trackers import TRACKERS

SHAPE = (676, 1280, 3)
"""Of a picture of eight photos."""


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "CLEARML_OFFLINE_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLEARML_CONFIG_FILE", str(tmp_path / "none.conf"))
    monkeypatch.setenv("CLEARML_CACHE_DIR", str(tmp_path / "cache"))


class Told:
    """A tracker that remembers what it is told.

    Args:
        fails_at: The call that fails, and all after it.
    """

    def __init__(self, *, fails_at: str = "") -> None:
        self.run = {"id": "7"}
        self.calls: list[tuple[Any, ...]] = []
        self.fails_at = fails_at

    def _told(self, *call: Any) -> None:
        self.calls.append(call)
        if call[0] == self.fails_at:
            raise ConnectionError("the server is gone\nand more")

    def parameters(self, values: dict[str, str]) -> None:
        self._told("parameters", values)

    def metrics(self, values: dict[str, float], *, step: int) -> None:
        self._told("metrics", values, step)

    def picture(self, name: str, picture: np.ndarray, *, step: int) -> None:
        self._told("picture", name, picture, step)

    def file(self, path: Path) -> None:
        self._told("file", yaml.safe_load(path.read_text()))

    def close(self, end: str) -> None:
        self._told("close", end)

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == kind]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    one = Told()
    monkeypatch.setitem(TRACKERS, "mlflow", lambda _: one)
    return one


@pytest.fixture
def both(settings: FitRequest) -> FitRequest:
    """Two epochs, validated."""
    return replace(settings, val=settings.train, epochs=2)


def _interrupted_at(step: int, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    train = module_file.TemplateModule.training_step

    def interrupted(self: Any, batch: Any) -> Tensor:
        if self.global_step == step:
            raise error
        return train(self, batch)

    monkeypatch.setattr(module_file.TemplateModule, "training_step", interrupted)


def test_mlflow_has_the_whole_training_in_one_run(
    both: FitRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    def open_run() -> tuple[MlflowClient, Any]:
        client = MlflowClient(f"sqlite:///{both.output.resolve()}/mlflow.db")
        (experiment,) = [one for one in client.search_experiments() if one.name != "Default"]
        assert experiment.name == "pocketface"
        (run,) = client.search_runs([experiment.experiment_id])
        return client, run

    with monkeypatch.context() as patch:
        _interrupted_at(3, patch, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(replace(both, base_learning_rate=3e-4, trackers=["mlflow"]))
    assert open_run()[1].info.status == "KILLED"
    latest = both.output / "latest.pth"
    fit(replace(both, epochs=3, resume_from=latest, trackers=["mlflow"]))

    client, run = open_run()
    assert (run.info.status, run.info.run_name) == ("FINISHED", "out")
    parameters = run.data.params
    recipe = both.template.spec.hyper_parameters
    assert parameters["recipe/optimizer/type"] == recipe.optimizer.type
    assert parameters["recipe/augmentation/size"] == "64"
    receipt = yaml.safe_load((both.output / "receipt.yaml").read_text(encoding="utf-8"))
    rates = [start["settings"]["base_learning_rate"] for start in receipt["starts"]]
    assert rates == [3e-4, 3e-4]
    assert [v for key, v in parameters.items() if key.startswith("base_learning")] == ["0.0003"]
    assert parameters["files/train_annotations"] == "faces.json"
    assert (parameters["seed"], parameters["template"]) == ("0", "tiny")
    assert (parameters["epochs"], parameters["epochs from epoch 2"]) == ("2", "3")
    ap50 = client.get_metric_history(run.info.run_id, "val/ap50")
    loss = client.get_metric_history(run.info.run_id, "train/loss_epoch")
    assert [one.step for one in ap50] == [1, 3, 5]
    assert [one.step for one in loss] == [1, 3, 5]
    epochs = client.get_metric_history(run.info.run_id, "epoch")
    assert {one.step: one.value for one in epochs if one.step % 2} == {1: 1, 3: 2, 5: 3}
    receipt = client.download_artifacts(run.info.run_id, "receipt.yaml")
    assert sha256_file(Path(receipt)) == sha256_file(both.output / "receipt.yaml")
    assert len(yaml.safe_load(Path(receipt).read_text())["starts"]) == 2
    pictures = [
        one.path for one in client.list_artifacts(run.info.run_id, "images")
        if one.path.endswith(".png")
    ]  # fmt: skip
    assert len(pictures) == 3
    for path in pictures:
        with Image.open(client.download_artifacts(run.info.run_id, path)) as picture:
            assert np.asarray(picture).shape == SHAPE


# ClearML's own process, which usually collects what it is told, is waited for: 20 s in all.
@pytest.mark.parametrize("by", ["a thread", pytest.param("a process", marks=pytest.mark.full)])
def test_clearml_has_the_training_in_a_file(
    both: FitRequest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, by: str
) -> None:
    from clearml import Task

    monkeypatch.setattr(Task, "_report_subprocess_enabled", by == "a process")
    caplog.set_level("INFO")
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    with monkeypatch.context() as patch:
        _interrupted_at(3, patch, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(replace(both, trackers=["clearml"]))
    (first,) = both.output.glob("clearml-*.zip")
    latest = both.output / "latest.pth"
    fit(replace(both, epochs=3, resume_from=latest, trackers=["clearml"]))

    assert {one: signal.getsignal(one) for one in before} == before
    assert "no clearml.conf, so the task stays in a file here" in caplog.text
    (second,) = set(both.output.glob("clearml-*.zip")) - {first}
    assert f"send it by Task.import_offline_session('{second}')" in caplog.text
    assert not [*(both.output.parent / "cache" / "offline").iterdir()]
    assert _content(first)[0]["tags"] == ["stopped"]
    task, events, files = _content(second)
    assert "tags" not in task
    assert (task["project_name"], task["name"]) == ("pocketface", "out")
    parameters = {
        f"{section}/{name}": one["value"]
        for section, values in task["hyperparams"].items()
        for name, one in values.items()
    }
    recipe = both.template.spec.hyper_parameters
    assert parameters["recipe/optimizer/type"] == recipe.optimizer.type
    assert parameters["files/train_annotations"] == "faces.json"
    assert (parameters["General/seed"], parameters["General/epochs"]) == ("0", "3")
    curves = {(one["metric"], one["variant"], one["iter"]): one.get("value") for one in events}
    assert [key[2] for key in curves if key[:2] == ("val", "ap50")] == [3, 5]
    assert [curves["epoch", "epoch", step] for step in (3, 5)] == [2, 3]
    (artifact,) = task["execution"]["artifacts"]
    assert artifact["key"] == "receipt.yaml"
    (name,) = [name for name in files if name.endswith("/receipt.yaml")]
    assert files[name] == (both.output / "receipt.yaml").read_bytes()
    pictures = [content for name, content in files.items() if "/metrics/predictions/" in name]
    assert len(pictures) == 2
    for content in pictures:
        assert np.asarray(Image.open(io.BytesIO(content))).shape == SHAPE


def _content(session: Path) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, bytes]]:
    """The task, its events, and the files of ClearML's session."""
    with zipfile.ZipFile(session) as file:
        files = {name: file.read(name) for name in file.namelist()}
    lines = [line for line in files["metrics.jsonl"].splitlines() if line]
    return (
        json.loads(files["task.json"]),
        [one for line in lines for one in json.loads(line)],
        files,
    )


def test_a_tracker_gets_the_receipt_last_and_then_the_end(both: FitRequest, told: Told) -> None:
    fit(replace(both, trackers=["mlflow", "mlflow"]))
    assert [one["finished"] for (one,) in told.of("file")] == [False, False, False, True]
    assert told.calls[-2][0] == "file"
    assert told.of("close") == [("finished",)]
    assert {step for _, picture, step in told.of("picture")} == {2, 4}


@pytest.mark.parametrize(("error", "end"), [(KeyboardInterrupt, "stopped"), (ValueError, "failed")])
def test_a_tracker_hears_how_it_ended(
    both: FitRequest,
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    end: str,
) -> None:
    _interrupted_at(1, monkeypatch, error)
    with pytest.raises(error):
        fit(replace(both, trackers=["mlflow"]))
    assert told.of("close") == [(end,)]
    assert told.of("file")[-1][0]["finished"] is False


@pytest.mark.parametrize("call", ["parameters", "metrics", "picture", "file", "close"])
def test_a_tracker_that_fails_ends_nothing_else(
    both: FitRequest, told: Told, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    told.fails_at = call
    report = fit(replace(both, trackers=["mlflow"]))
    assert report.epochs == 2
    assert report.best is not None
    assert len(told.of(call)) == 1
    assert told.calls[-1][0] == call
    (warning,) = [one for one in caplog.messages if "--tracker" in one]
    assert warning.startswith("--tracker mlflow: failed")
    assert warning.endswith(": the server is gone")


def test_epochs_and_steps_count_those_before_a_fresh_optimizer(
    both: FitRequest, told: Told, begun: Path, tmp_path: Path
) -> None:
    """A checkpoint that Lightning cannot resume: it counts from 0 again."""
    weights = read_weights(begun)
    stripped = tmp_path / "stripped.safetensors"
    write_weights(
        stripped,
        template_text=both.template.text,
        state_dict=weights.state_dict,
        epochs=weights.epochs,
    )
    output = tmp_path / "other"
    fit(replace(both, output=output, resume_from=stripped, epochs=2, trackers=["mlflow"]))
    assert {values["epoch"] for values, _ in told.of("metrics")} == {2}
    # An epoch of fine-tuning has ten steps, so there were ten before the first.
    assert [step for values, step in told.of("metrics") if "val/ap50" in values] == [19]


def test_tensorboard_has_the_pictures(both: FitRequest) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(both)
    events = EventAccumulator(str(both.output / "logs" / "tensorboard" / "version_0"))
    events.Reload()
    pictures = events.Images("predictions")
    assert [one.step for one in pictures] == [2, 4]
    picture = Image.open(io.BytesIO(pictures[0].encoded_image_string))
    assert np.asarray(picture).shape == SHAPE


def test_changed_parameters_are_kept_beside_the_first_ones() -> None:
    known = {"epochs": "2", "seed": "0"}
    values = {"epochs": "3", "seed": "0", "workers": "1"}
    new = new_parameters(values, known, epochs=1)
    assert new == {"epochs from epoch 2": "3", "workers": "1"}
    assert new_parameters(values, known | new, epochs=1) == {}


def test_trackers_that_are_not_there(settings: FitRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tuple(TRACKERS) == NAMES
    with pytest.raises(UserError, match="--tracker mlfow: expected mlflow or clearml"):
        fit(replace(settings, trackers=["mlfow"]))
    monkeypatch.setattr(trackers_file, "find_spec", lambda _: None)
    for name in NAMES:
        with pytest.raises(MissingPackageError, match=rf"pip install 'pocketface\[{name}\]'"):
            fit(replace(settings, trackers=[name]))
    assert not settings.output.exists()


def test_a_tracker_that_cannot_begin_is_refused(
    settings: FitRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    with pytest.raises(UserError, match=r"--tracker mlflow: cannot be used: .*nonsense"):
        fit(replace(settings, trackers=["mlflow"]))
    assert not settings.output.exists()
