"""What each part of face-segmentation-n's augmentation gives: one table.

    python tools/segmentation_ablations.py --epochs 8 --save-to DIR \
        --train-ann-files train.masks.json --train-data-roots ../shared/data/celebamask \
        --test NAME LIST ROOT [--test NAME LIST ROOT …] [--only ROW …]

trains it from scratch once for each row, with the same number of steps, measures IoU of each test
and of each tag in its list, and prints Markdown. Started again, it goes on where it was
interrupted; a row that was trained by other settings is refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pocketface.tools.ablations import AUGMENTATION, figures_of, folder_of, print_rows, trained
from pocketface.tools.running import ended

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
    folder = folder_of(name, asked)
    checkpoint = trained(
        TEMPLATE,
        {"initial_weights": None, **change.edits},
        folder,
        asked,
        *("--seed", change.seed, *change.options),
    )
    found = {}
    for test, listed, root in asked.test:
        flags = ("--test-ann-files", listed, "--test-data-roots", root)
        for key, value in figures_of(checkpoint, folder / f"{test}.json", *flags).items():
            first, _, tag = key.partition("_on_")
            if first == "iou":
                found[f"{test}, {tag}" if tag else test] = value
    return found


if __name__ == "__main__":
    ended(main)
