"""What each part of face-segmentation-n's augmentation gives: one table.

    python tools/segmentation_ablations.py --epochs 8 --save-to DIR \
        --train-ann-files train.masks.json --train-data-roots ../shared/data/celebamask \
        --test NAME LIST ROOT [--test NAME LIST ROOT …] [--only ROW …]

trains it from scratch once for each row, with the same number of steps, measures IoU of each test
and of each tag in its list, and prints Markdown. Started again, it goes on where it was
interrupted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pocketface.models.weights import read_weights
from pocketface.tools.ablations import AUGMENTATION, edited, run

TEMPLATE = "face-segmentation-n"


@dataclass(frozen=True)
class Change:
    """One row of the table.

    Attributes:
        edits: New values by dotted key of the template; None removes an optional key.
        options: Further flags of `train`.
        seed: Seed of the training.
    """

    edits: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    seed: int = 1


JITTER, DROPOUT = f"{AUGMENTATION}.jitter", f"{AUGMENTATION}.dropout"
OBJECTS, CLOTH = {f"{AUGMENTATION}.objects": 0.0}, {f"{AUGMENTATION}.cloth": 0.0}
QUALITY = {f"{AUGMENTATION}.quality": False}

CHANGES = {
    "the recipe": Change(),
    "another seed": Change(seed=2),
    "without ColorJitter": Change({JITTER: None}),
    "without CoarseDropout": Change({DROPOUT: None}),
    "without pasted blobs": Change(OBJECTS),
    "without medical masks": Change(CLOTH),
    "nothing over faces": Change({DROPOUT: None, **OBJECTS, **CLOTH}),
    "without blur, noise, JPEG": Change(QUALITY),
    "flip alone": Change(
        {
            JITTER: None,
            DROPOUT: None,
            **OBJECTS,
            **CLOTH,
            **QUALITY,
            f"{AUGMENTATION}.rotate": 0.0,
            f"{AUGMENTATION}.scale": [1.0, 1.0],
            f"{AUGMENTATION}.shift": 0.0,
        }
    ),
    "glasses not cut out": Change(options=("--classes", "face=face,face=glasses")),
}


def main() -> None:
    """Train and measure the missing rows, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--save-to", type=Path, required=True)
    parser.add_argument("--train-ann-files", nargs="+", required=True)
    parser.add_argument("--train-data-roots", nargs="+", required=True)
    parser.add_argument("--test", nargs=3, action="append", required=True)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=CHANGES, default=[*CHANGES])
    asked = parser.parse_args()
    print_rows(TEMPLATE, ((name, measured(name, CHANGES[name], asked)) for name in asked.only))


def measured(name: str, change: Change, asked: argparse.Namespace) -> dict[str, float]:
    """IoU in percent by test and tag, measured on a network trained with this change."""
    folder = asked.save_to / "".join(sign if sign.isalnum() else "_" for sign in name)
    checkpoint = trained(
        TEMPLATE,
        {"initial_weights": None, **change.edits},
        folder,
        asked,
        *("--seed", change.seed, *change.options),
    )
    found = {}
    for test, listed, root in asked.test:
        for key, value in figures_of(checkpoint, listed, root, folder / f"{test}.yaml").items():
            first, _, tag = key.partition("_on_")
            if first == "iou":
                found[f"{test}, {tag}" if tag else test] = value
    return found


def trained(
    template: str,
    edits: Mapping[str, Any],
    folder: Path,
    asked: argparse.Namespace,
    *options: object,
) -> Path:
    """The checkpoint of a whole training with an edited template; an interrupted one goes on.

    Args:
        template: The template.
        edits: New values by dotted key; None removes an optional key.
        folder: Where the training writes.
        asked: `epochs`, `train_ann_files`, `train_data_roots` and `precision` of the training.
        options: Further flags of `train`.
    """
    checkpoint = folder / "latest.pth"
    behind = read_weights(checkpoint).epochs if checkpoint.exists() else None
    if behind != asked.epochs:
        resume = [] if behind is None else ["--resume-from", checkpoint]
        run("train", "--template", edited(template, edits, folder), *resume,
            "--train-ann-files", *asked.train_ann_files,
            "--train-data-roots", *asked.train_data_roots, *options,
            "--epochs", asked.epochs, "--precision", asked.precision,
            "--save-checkpoints-to", folder)  # fmt: skip
    return checkpoint


def figures_of(checkpoint: Path, listed: str, root: str, metrics: Path) -> dict[str, float]:
    """Figures of `eval` on a list, by key; those of an earlier start are read again."""
    if not metrics.exists():
        run("eval", "--load-weights", checkpoint, "--test-ann-files", listed,
            "--test-data-roots", root, "--save-metrics-to", metrics)  # fmt: skip
    return {one["key"]: one["value"] for one in yaml.safe_load(metrics.read_text())["metrics"]}


def print_rows(title: str, rows: Iterable[tuple[str, Mapping[str, float | None]]]) -> None:
    """Print figures as rows of a table, each when it is there."""
    heading: list[str] = []
    for name, figures in rows:
        if not heading:
            heading = [title, *figures]
            print(f"| {' | '.join(heading)} |\n|{'---|' * len(heading)}", flush=True)
        cells = ["" if value is None else f"{value:.2f}" for value in figures.values()]
        print(f"| {' | '.join([name, *cells])} |", flush=True)


if __name__ == "__main__":
    main()
