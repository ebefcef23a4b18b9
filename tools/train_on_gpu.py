"""As long a training as fits into some minutes of a GPU, by the commands that train anywhere.

    python tools/pack_photos.py --output packed …     # where the photos are
    python tools/train_on_gpu.py --template face-detection-n --minutes 8 --save-to runs/n \
        --train-ann-files packed/part-0/train.json --train-data-roots packed [--load-weights FILE]

First some steps tell how many samples a second go through the GPU. Then the training is as long as
the minutes that are left allow, with an epoch every half minute, which is saved. At the end of the
minutes it is stopped in any case; the same command goes on from there, to the planned end. Batches
are larger than a small network's recipe has, and the learning rate grows as `train --batch-size`
lets it grow; processes cut the samples on all cores but one.

Without a GPU it does the same on the processor, to try it out (`--minutes 2 --batch-size 8`).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import yaml

from pocketface.data.table import read_table
from pocketface.model_templates import find_template
from pocketface.models.weights import read_weights
from pocketface.training.pace import PHOTOS_PER_SECOND

TRIAL_STEPS = 60
EPOCH_S = 30.0
END_S = 30.0
"""Time kept for starts, and for the last file."""


def main() -> None:
    """Measure the rate, and train."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--template", required=True)
    parser.add_argument("--train-ann-files", nargs="+", required=True, metavar="FILE")
    parser.add_argument("--train-data-roots", nargs="+", required=True, metavar="DIR")
    parser.add_argument("--load-weights", type=Path, metavar="FILE")
    parser.add_argument("--save-to", type=Path, required=True, metavar="DIR")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--trial-steps", type=int, default=TRIAL_STEPS)
    asked = parser.parse_args()
    end = began + 60 * asked.minutes - END_S
    asked.save_to.mkdir(parents=True, exist_ok=True)
    plan, run = asked.save_to / "template.yaml", asked.save_to / "run"
    latest = run / "latest.pth"
    begin: list[object] = []
    if not latest.exists():
        if asked.load_weights is not None:
            begin = ["--load-weights", asked.load_weights]
        rate = measured_rate(asked, begin)
        steps = max(1, round(EPOCH_S * rate / asked.batch_size))
        epochs = max(1, int((end - time.monotonic()) * rate / (steps * asked.batch_size)))
        print(f"{rate:.0f} samples/s: {epochs} epochs of {steps} steps", flush=True)
        write_plan(asked.template, plan, steps=steps, epochs=epochs)
    else:
        begin = ["--resume-from", latest, "--epochs", planned(plan)["epochs"]]
    if not latest.exists() or read_weights(latest).epochs < planned(plan)["epochs"]:
        train(asked, plan, run, begin, seconds=end + END_S / 2 - time.monotonic())
    if not latest.exists():
        raise SystemExit(f"--minutes {asked.minutes:g}: too few for an epoch of this training")
    epochs = read_weights(latest).epochs
    seen = epochs * planned(plan)["iterations_per_epoch"] * asked.batch_size
    print(f"written: {latest}, {epochs} epochs of {planned(plan)['epochs']}, {seen:,} samples")


def planned(plan: Path) -> dict[str, int]:
    """How many epochs a plan has, and how many iterations each of them."""
    basic: dict[str, int] = read_plan(plan)["hyper_parameters"]["basic"]
    return basic


def measured_rate(asked: argparse.Namespace, begin: Sequence[object]) -> float:
    """Samples a second of a short training, as `training.pace` measures them."""
    with TemporaryDirectory() as folder:
        plan, run = Path(folder, "trial.yaml"), Path(folder, "run")
        write_plan(asked.template, plan, steps=asked.trial_steps, epochs=1)
        train(asked, plan, run, begin, seconds=60 * asked.minutes)
        (table,) = run.glob("logs/csv/*/metrics.csv")
        (rate,) = (
            row[PHOTOS_PER_SECOND] for _, row in read_table(table).rows if row[PHOTOS_PER_SECOND]
        )
        return float(rate)


def write_plan(template: str, plan: Path, *, steps: int, epochs: int) -> None:
    """The template with epochs of some steps."""
    content = read_plan(find_template(template))
    content["hyper_parameters"]["basic"] |= {"iterations_per_epoch": steps, "epochs": epochs}
    # Whoever reads the plan may be elsewhere.
    content["initial_weights"] = None
    plan.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def read_plan(file: Path) -> dict[str, Any]:
    """A template as it stands there."""
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


def train(
    asked: argparse.Namespace, plan: Path, run: Path, begin: Sequence[object], *, seconds: float
) -> None:
    """Train as a process of its own, for at most some seconds."""
    gpus = torch.cuda.device_count()
    precision = "bf16-mixed" if gpus else "32-true"
    command = ["train", "--template", plan, *begin, "--save-checkpoints-to", run,
               "--train-ann-files", *asked.train_ann_files,
               "--train-data-roots", *asked.train_data_roots,
               "--gpu-num", gpus, "--batch-size", asked.batch_size, "--precision", precision,
               "--workers", asked.workers]  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "pocketface", *map(str, command)])
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # as Ctrl-C: the last whole epoch stays
        process.wait()
        return
    if code:
        raise SystemExit(code)


if __name__ == "__main__":
    main()
