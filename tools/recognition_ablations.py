"""What each loss, and more or other data, give a recogniser: one table.

    python tools/recognition_ablations.py --epochs 6 --save-to DIR --teacher TEACHER.xml \
        --train-ann-files train.identities.json --train-data-roots ../shared/data/face_identities \
        --unlabelled train.identities.json ../shared/data/face_unlabelled \
        --alone att/train.identities.json ../shared/data/att_faces \
        --test LFW lfw.identities.json ../shared/data/lfw/lfw [--test NAME LIST ROOT …] \
        [--only ROW …]

trains face-recognition-n from scratch once for each row, with about the same number of steps,
measures it on each test, and prints Markdown. Started again, it goes on where it was interrupted;
a row that was trained by other settings is refused. The teacher is
face-reidentification-retail-0095. Rows of photos that are not given are left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pocketface.data.identities import read_identities
from pocketface.files import atomic_write
from pocketface.tasks.recognition.peers import PEERS
from pocketface.tools.ablations import (
    AUGMENTATION,
    figures_of,
    folder_of,
    other,
    print_rows,
    trained,
)
from pocketface.tools.running import ended

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

TWO_VIEWS: Mapping[str, Any] = {LOSS: {"type": "contrastive", "photos": 2}}
"""Two augmented views of one photo are a pair, of two photos not, as in SimCLR (Chen et al. 2020)
but with the contrastive loss."""

AGAINST_OVERFITTING: Mapping[str, Any] = {
    "architecture.head.dropout": 0.3,
    "hyper_parameters.optimizer.weight_decay": 0.1,
}


@dataclass(frozen=True)
class Row:
    """One training.

    Attributes:
        edits: New values by dotted key of the template; None removes an optional key.
        photos: What it learns from: all, those of every other person, or those of `--alone`.
        begins: Whether it begins with weights that two views of the photos of `--unlabelled` have
            taught.
    """

    edits: Mapping[str, Any] = field(default_factory=dict)
    photos: Literal["all", "half", "alone"] = "all"
    begins: bool = False


def rows(teacher: Path) -> dict[str, Row]:
    """All rows by name."""
    takes = PEERS["face-reidentification-retail-0095"].takes
    taught = {
        TEACHER: {
            "teacher": str(teacher.resolve()),
            "weight": 10.0,
            "input": takes.model_dump(mode="json"),
        }
    }
    found = {name: Row({LOSS: dict(loss)}) for name, loss in LOSSES.items()}
    arcface = {LOSS: dict(LOSSES["ArcFace"])}
    found["distilled"] = Row({LOSS: None, **taught})
    found["ArcFace and distilled"] = Row({**arcface, **taught})
    found["ArcFace without augmentation"] = Row({**arcface, **PLAIN})
    found["distilled without augmentation"] = Row({LOSS: None, **taught, **PLAIN})
    found["ArcFace, half of the people"] = Row(arcface, photos="half")
    found["distilled, half of the people"] = Row({LOSS: None, **taught}, photos="half")
    found["ArcFace, from two views of other photos on"] = Row(arcface, begins=True)
    found["ArcFace, AT&T alone, dropout and weight decay"] = Row(
        {**arcface, **AGAINST_OVERFITTING}, photos="alone"
    )
    return found


def main() -> None:
    """Train and measure the missing rows, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--save-to", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--train-ann-files", nargs=1, type=Path, required=True)
    parser.add_argument("--train-data-roots", nargs=1, type=Path, required=True)
    parser.add_argument("--unlabelled", nargs=2, type=Path, metavar=("LIST", "ROOT"))
    parser.add_argument("--alone", nargs=2, type=Path, metavar=("LIST", "ROOT"))
    parser.add_argument("--test", nargs=3, action="append", required=True)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--only", nargs="+", metavar="ROW")
    asked = parser.parse_args()
    every = {
        name: row
        for name, row in rows(asked.teacher).items()
        if not (row.begins and asked.unlabelled is None)
        and not (row.photos == "alone" and asked.alone is None)
    }
    print_rows(
        TEMPLATE, ((name, measured(name, every[name], asked)) for name in asked.only or every)
    )


def measured(name: str, row: Row, asked: argparse.Namespace) -> dict[str, float | None]:
    """Figures in percent by test, measured on a network trained as the row says."""
    folder = folder_of(name, asked)
    (photos,), (root,) = asked.train_ann_files, asked.train_data_roots
    edits = {"initial_weights": None, **row.edits}
    if row.photos == "half":
        photos = every_other_person(photos, asked.save_to / "half.identities.json")
        edits["hyper_parameters.repeats"] = 2
    if row.photos == "alone":
        usual = count(photos, root)
        photos, root = asked.alone
        edits["hyper_parameters.repeats"] = max(1, round(usual / count(photos, root)))
    start = None
    if row.begins:
        views = {"initial_weights": None, **TWO_VIEWS}
        others, their_root = map(Path, asked.unlabelled)
        lists, roots = copied(others, their_root, asked.save_to / "copies")
        first = other(asked, train_ann_files=lists, train_data_roots=roots)
        start = trained(TEMPLATE, views, asked.save_to / "two_views", first, "--seed", 1)
    this = learning_from(asked, photos, root)
    checkpoint = trained(TEMPLATE, edits, folder, this, "--seed", 1, start=start)
    found: dict[str, float | None] = {}
    for test, listed, place in asked.test:
        flags = ("--test-ann-files", listed, "--test-data-roots", place)
        figures = figures_of(checkpoint, folder / f"{test}.json", *flags)
        found |= {f"{test}, {key}": figures.get(key) for key in TOLD if key in figures}
    return found


def learning_from(asked: argparse.Namespace, photos: Path, root: Path) -> argparse.Namespace:
    """What was asked for, with other photos."""
    return other(asked, train_ann_files=[photos], train_data_roots=[root])


def count(photos: Path, root: Path) -> int:
    """Number of photos with a face in a list."""
    return sum(photo.found for photo in read_identities([photos], [root]).photos)


def every_other_person(photos: Path, output: Path) -> Path:
    """Write the list of every other person's photos."""
    content = json.loads(photos.read_text(encoding="utf-8"))["photos"]
    people = sorted({one["person"] for one in content if one["person"] is not None})
    kept = set(people[::2])
    return write([one for one in content if one["person"] in kept], output)


def copied(photos: Path, root: Path, folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy photos with a face to a folder, as a file that is listed twice counts once.

    Returns:
        Lists, and the root of each, in which a photo and its copy are a person of their own.
    """
    content = json.loads(photos.read_text(encoding="utf-8"))["photos"]
    seen = [one for one in content if one["landmarks"] is not None]
    for one in seen:
        copy = folder / one["image"]
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / one["image"], copy)
    own = [{**one, "person": f"photo {place}"} for place, one in enumerate(seen)]
    listed = write(own, folder.with_suffix(".identities.json"))
    return [listed, listed], [root, folder]


def write(photos: list[dict[str, Any]], output: Path) -> Path:
    """Write a list of photos."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output, "w") as file:
        json.dump({"photos": photos}, file, ensure_ascii=False)
    return output


if __name__ == "__main__":
    ended(main)
