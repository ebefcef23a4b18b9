"""What a training leaves for people: curves.png and receipt.yaml."""

from __future__ import annotations

import csv
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..files import atomic_write, sha256_file
from ..model_templates.schema import Template

_CURVES = (
    ("loss", ("train/loss_epoch", "train/class", "train/box", "train/landmark")),
    ("AP on the validation photos", ("val/ap50", "val/ap")),
)


def draw_curves(output: Path) -> Path:
    """Plot losses and AP of all starts (`output`/logs/csv/version_*) into `output`/curves.png."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows: list[dict[str, str]] = []
    logs = (output / "logs" / "csv").glob("version_*/metrics.csv")
    for log in sorted(logs, key=lambda path: int(path.parent.name.removeprefix("version_"))):
        with log.open(encoding="utf-8", newline="") as file:
            rows.extend(csv.DictReader(file))
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, names) in zip(figure.subplots(1, len(_CURVES)), _CURVES, strict=True):
        for name in names:
            # By epoch, the last start wins: it may have done some again.
            points = {int(row["epoch"]) + 1: float(row[name]) for row in rows if row.get(name)}
            if points:
                axes.plot(*zip(*sorted(points.items()), strict=True), marker=".", label=name)
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


def write_receipt(
    output: Path,
    *,
    template: Template,
    settings: Mapping[str, Any],
    annotations: Sequence[Path],
    photos: int,
    hours: float,
    best_ap50: float | None,
) -> Path:
    """Write `output`/receipt.yaml: enough to run the same training again."""
    import lightning
    import torch

    content = {
        "template": template.name,
        "command": " ".join(["pocketface", *sys.argv[1:]]),
        "settings": dict(settings),
        "data": {
            "photos": photos,
            "annotations": [
                {"file": path.name, "sha256": sha256_file(path)} for path in annotations
            ],
        },
        "hours": round(hours, 3),
        "best_ap50": best_ap50,
        "host": {
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "lightning": lightning.__version__,
        },
    }
    path = output / "receipt.yaml"
    with atomic_write(path, "w") as file:
        yaml.safe_dump(content, file, sort_keys=False, allow_unicode=True)
    return path
