"""What each loss, and more or other data, give a recogniser: one table.

    python tools/recognition_ablations.py --epochs 6 --save-to DIR --teacher TEACHER.xml \
        --train-ann-files train.identities.json --train-data-roots ../shared/data/face_identities \
        --test LFW lfw.identities.json ../shared/data/lfw/lfw [--test NAME LIST ROOT …] \
        [--only ROW …]

trains face-recognition-n from scratch once for each row, with the same number of steps, measures
it on each test, and prints Markdown. Started again, it goes on where it was interrupted. The
teacher is face-reidentification-retail-0095.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pocketface.tasks.recognition.peers import PEERS
from pocketface.tools.ablations import AUGMENTATION, figures_of, print_rows, trained

TEMPLATE = "face-recognition-n"
LOSS, TEACHER = "architecture.head.loss", "hyper_parameters.distillation"

TOLD = ("fold_accuracy", "tar_1e-3", "rank_1")
"""Figures of each test that the table has, where there are such."""

LOSSES: dict[str, Mapping[str, Any]] = {
    "softmax": {"type": "softmax"},
    "ArcFace": {"type": "arcface", "scale": 32.0, "margin": 0.3, "warmup": 0.3},
    "CosFace": {"type": "cosface", "scale": 32.0, "margin": 0.2, "warmup": 0.3},
    "Siamese, contrastive": {"type": "contrastive"},
    "triplets": {"type": "triplet"},
}

PLAIN: Mapping[str, Any] = {
    f"{AUGMENTATION}.{key}": value
    for key, value in {
        "rotate": 0.0, "scale": 0.0, "shift": 0.0, "jitter": None,
        "grey": 0.0, "quality": 0.0, "glasses": 0.0, "mask": 0.0,
    }.items()
}  # fmt: skip


def rows(teacher: Path) -> dict[str, Mapping[str, Any]]:
    """The edits of each row."""
    takes = PEERS["face-reidentification-retail-0095"].takes
    taught = {
        TEACHER: {
            "teacher": str(teacher.resolve()),
            "weight": 10.0,
            "input": takes.model_dump(mode="json"),
        }
    }
    found: dict[str, Mapping[str, Any]] = {
        name: {LOSS: dict(loss)} for name, loss in LOSSES.items()
    }
    found["distilled"] = {LOSS: None, **taught}
    found["ArcFace and distilled"] = {LOSS: dict(LOSSES["ArcFace"]), **taught}
    found["ArcFace without augmentation"] = {LOSS: dict(LOSSES["ArcFace"]), **PLAIN}
    found["distilled without augmentation"] = {LOSS: None, **taught, **PLAIN}
    return found


def main() -> None:
    """Train and measure the missing rows, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--save-to", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--train-ann-files", nargs="+", required=True)
    parser.add_argument("--train-data-roots", nargs="+", required=True)
    parser.add_argument("--test", nargs=3, action="append", required=True)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--only", nargs="+", metavar="ROW")
    asked = parser.parse_args()
    every = rows(asked.teacher)
    print_rows(
        TEMPLATE, ((name, measured(name, every[name], asked)) for name in asked.only or every)
    )


def measured(
    name: str, edits: Mapping[str, Any], asked: argparse.Namespace
) -> dict[str, float | None]:
    """Figures in percent by test, measured on a network trained with these edits."""
    folder = asked.save_to / "".join(sign if sign.isalnum() else "_" for sign in name)
    checkpoint = trained(TEMPLATE, {"initial_weights": None, **edits}, folder, asked, "--seed", 1)
    found: dict[str, float | None] = {}
    for test, listed, root in asked.test:
        figures = figures_of(checkpoint, listed, root, folder / f"{test}.yaml")
        found |= {f"{test}, {key}": figures.get(key) for key in TOLD if key in figures}
    return found


if __name__ == "__main__":
    main()
