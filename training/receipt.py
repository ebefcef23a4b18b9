"""Files about a training for people: curves.png and receipt.yaml."""

from __future__ import annotations

import csv
import datetime
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .. import __version__
from ..files import atomic_write, sha256_file
from .pace import PHOTOS_PER_SECOND, WAITING

_CURVES = (("loss", "train/"), ("on the validation photos", "val/"))
"""For each plot, its title and the prefix of its curves' names."""

_NO_CURVES = ("train/loss_step", PHOTOS_PER_SECOND, WAITING)


def draw_curves(output: Path) -> Path:
    """Plot losses and figures of a training's starts into `output`/curves.png.

    They are in `logs/csv/version_*`. What is before the last one from epoch 1 on is another
    training's, whose checkpoints were deleted. What a power cut left without its content is passed
    over.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # For each epoch the last start wins, as it may have repeated some.
    points: dict[str, dict[int, float]] = {}
    logs: dict[int, Path] = {}
    for log in (output / "logs" / "csv").glob("version_*/metrics.csv"):
        version = log.parent.name.removeprefix("version_")
        if version.isdecimal() and log.with_name("hparams.yaml").is_file():  # else a user's copy
            logs[int(version)] = log
    for _, log in sorted(logs.items()):
        try:
            settings = yaml.safe_load(log.with_name("hparams.yaml").read_text(encoding="utf-8"))
            first_epoch = settings["first_epoch"]
        except (yaml.YAMLError, TypeError, KeyError):
            continue
        with log.open(encoding="utf-8", newline="") as file:
            whole = (line for line in file if "\0" not in line)
            rows = [(first_epoch + int(row["epoch"]) + 1, row) for row in csv.DictReader(whole)]
            if rows and rows[0][0] == 1:
                points.clear()
            for epoch, row in rows:
                for name, value in row.items():
                    if value:
                        points.setdefault(name, {})[epoch] = float(value)
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, prefix) in zip(figure.subplots(1, len(_CURVES)), _CURVES, strict=True):
        for name in sorted(points):
            if name.startswith(prefix) and name not in _NO_CURVES:
                axes.plot(*zip(*sorted(points[name].items()), strict=True), marker=".", label=name)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        if axes.lines:
            axes.legend()
        else:
            axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
    path = output / "curves.png"
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=100)
    return path


class Receipt:
    """`receipt.yaml`: what is needed to repeat the training, with an entry for each start.

    Args:
        folder: Folder for the file; a start is added to earlier ones of the same training.
        command: The command that the user typed; None if called from Python.
        template: The template.yaml.
        settings: Settings of this start.
        files: Files that it read, by role: annotations, weights.
        photos: Number of training photos.
        goes_on: Whether it resumes the training of this folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        command: str | None,
        template: Path,
        settings: Mapping[str, Any],
        files: Mapping[str, Sequence[Path]],
        photos: int,
        goes_on: bool,
    ) -> None:
        self.path = folder / "receipt.yaml"
        self._earlier = _starts(self.path) if goes_on else []
        self._start: dict[str, Any] = {
            "command": command,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "template": _file(template),
            "settings": dict(settings),
            "photos": photos,
            "files": {role: [_file(path) for path in paths] for role, paths in files.items()},
            "host": _host(),
        }

    def write(
        self,
        *,
        hours: float,
        epochs: int,
        finished: bool,
        base_learning_rate: float | None,
        best: Mapping[str, float | None],
    ) -> Path:
        """Write the whole file again, atomically.

        Args:
            hours: Duration of this start in hours.
            epochs: Number of complete epochs in the newest checkpoint.
            finished: Whether the training ran to its end.
            base_learning_rate: Base learning rate in use, which may be a checkpoint's.
            best: The best figure on the validation photos by its name, 0 to 1; None if nothing
                was measured.
        """
        result = {"epochs": epochs, "finished": finished, **best}
        rate = {"base_learning_rate": base_learning_rate}
        settings = {**self._start["settings"], **rate}
        start = {**self._start, "settings": settings, "hours": round(hours, 4), **result}
        hours_before = sum(float(one.get("hours", 0)) for one in self._earlier)
        content = {
            "hours": round(hours_before + hours, 4),
            **result,
            "starts": [*self._earlier, start],
        }
        with atomic_write(self.path, "w") as file:
            yaml.safe_dump(content, file, sort_keys=False, allow_unicode=True)
        return self.path


def _starts(path: Path) -> list[dict[str, Any]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        starts: list[dict[str, Any]] = content["starts"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return []  # a missing or foreign receipt is no reason to refuse the training
    return starts


def _file(path: Path) -> dict[str, str]:
    # Without the folder, which means nothing elsewhere: receipts travel with weights.
    return {"file": path.name, "sha256": sha256_file(path)}


def _host() -> dict[str, Any]:
    import lightning
    import torch

    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "pocketface": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "lightning": lightning.__version__,
    }
