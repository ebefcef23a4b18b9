"""What each part of face-detection-n's recipe gives, and what more photos give: one table.

    python tools/ablations.py --epochs 15 --save-to DIR \
        --train-ann-files A … --train-data-roots DIR … --wider-dir ../shared/data/wider_face \
        [--more-ann-files B … --more-data-roots DIR …] [--only ROW …]

trains it from scratch once for each change, with the same number of steps, measures each
on WIDER's photos, and prints Markdown. Started again, it goes on where it was interrupted; a row
that was trained by other settings is refused.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pocketface.data.pairs import paired
from pocketface.data.split import split_coco
from pocketface.errors import UserError
from pocketface.files import atomic_write, sha256_file
from pocketface.model_templates import template_path
from pocketface.models.weights import read_weights
from pocketface.tools.running import digested, ended, evaluated, keep_settings, photos_in, run

TEMPLATE = "face-detection-n"
FIGURES = ("wider_easy", "wider_medium", "wider_hard")


@dataclass(frozen=True)
class Change:
    """One row of the table.

    Attributes:
        edits: New values by dotted key of the template; None removes an optional key.
        seed: Seed of the training.
        share: Share of the photos: 1/n, so that n times the passes give the same number of steps.
        more: Whether to add the photos of `--more-…`, in fewer epochs.
        as_it_ships: Whether the edits apply to the template as it is, not to `BASE`.
    """

    edits: Mapping[str, Any]
    seed: int = 1
    share: float = 1.0
    more: bool = False
    as_it_ships: bool = False


def stages(*pairs: tuple[int, int]) -> dict[str, Any]:
    """The edit that gives the backbone stages with these channels and blocks."""
    content = [{"channels": channels, "blocks": blocks} for channels, blocks in pairs]
    return {"architecture.backbone.stages": content}


AUGMENTATION = "hyper_parameters.augmentation"
OPTIMIZER = "hyper_parameters.optimizer"
HEAD = "architecture.head"
PARTS = ("backbone", "neck", "head")
BASE = {
    "initial_weights": None,
    "hyper_parameters.schedule.type": "cosine",
    "hyper_parameters.schedule.decay": None,
    "hyper_parameters.basic.base_learning_rate": 1.5e-3,
    f"{AUGMENTATION}.anywhere": 0.0,
    f"{AUGMENTATION}.rotate": 0.0,
    f"{AUGMENTATION}.mosaic": 0.0,
    f"{OPTIMIZER}.type": "adamw",
    f"{OPTIMIZER}.momentum": 0.9,
    f"{OPTIMIZER}.muon_factor": None,
    f"{HEAD}.loss.box_weighting": None,
    **stages((16, 0), (32, 2), (64, 1), (64, 1)),
    "architecture.neck.channels": 24,
    f"{HEAD}.channels": 32,
    **{f"architecture.{part}.separable": False for part in PARTS},
}
"""Edits under all other rows: face-detection-n as it was when the first row was trained."""

MUON = {f"{OPTIMIZER}.type": "muon", f"{OPTIMIZER}.momentum": 0.95}
AT_STRIDE_4 = stages((16, 1), (32, 1), (64, 1), (64, 1))
SEPARABLE = {
    **stages((32, 1), (64, 2), (64, 2), (64, 2)),
    "architecture.neck.channels": 64,
    f"{HEAD}.channels": 64,
    **{f"architecture.{part}.separable": True for part in PARTS},
}
"""The template's current layers: more and wider ones with as many operations as before."""

BEST = MUON | AT_STRIDE_4 | {f"{OPTIMIZER}.muon_factor": 6.0}
SIMOTA = {f"{HEAD}.loss.assigner": "simota", f"{HEAD}.anchor_scale": None}
CENTERED = {f"{HEAD}.loss.box_weighting": "centerness"}
LATEST = BEST | CENTERED | SEPARABLE
"""Edits under the rows "separable, …": what ships, without collages, mosaics, crops anywhere and
rotated ones."""

CHANGES = {
    "the recipe, but each crop upright with a face": Change({}),
    "another seed": Change({}, seed=2),
    "a quarter of the photos": Change({"hyper_parameters.repeats": 4}, share=0.25),
    "half of the photos": Change({"hyper_parameters.repeats": 2}, share=0.5),
    "AdamW, rate 0.004": Change({"hyper_parameters.basic.base_learning_rate": 4e-3}),
    "Muon, as large steps as AdamW's": Change(MUON | {f"{OPTIMIZER}.muon_factor": 1.0}),
    "Muon, three times as large": Change(MUON | {f"{OPTIMIZER}.muon_factor": 3.0}),
    "one block of stride 8 at stride 4 instead": Change(AT_STRIDE_4),
    "that, and Muon, six times as large": Change(BEST),
    "that, and four cells for a small face": Change(BEST | {f"{HEAD}.loss.min_cells": 4}),
    "Muon six times, stride 4, boxes weighted by centre-ness": Change(BEST | CENTERED),
    "that, and separable convolutions, wider": Change(LATEST),
    "that, and face-detection-m as teacher": Change(
        LATEST | {"hyper_parameters.distillation": {"teacher": "face-detection-m"}}
    ),
    "Muon six times, stride 4, focal loss": Change(BEST | {f"{HEAD}.loss.classification": "focal"}),
    "Muon six times, stride 4, anchors of five strides": Change(
        BEST | {f"{HEAD}.anchor_scale": 5.0}
    ),
    "Muon six times, stride 4, and batches of 8": Change(
        BEST | {"hyper_parameters.basic.batch_size": 8}
    ),
    "separable, another seed": Change(LATEST, seed=2),
    "separable, 15 % of crops anywhere, 20 % turned": Change(
        LATEST | {f"{AUGMENTATION}.anywhere": 0.15, f"{AUGMENTATION}.rotate": 0.2}
    ),
    "separable, collages of portraits, labelled by -m": Change(LATEST, more=True),
    "separable, GroupNorm in the head": Change(LATEST | {f"{HEAD}.norm": "group"}),
    "separable, one head for all strides, GroupNorm": Change(
        LATEST | {f"{HEAD}.norm": "group", f"{HEAD}.shared": True}
    ),
    "separable, half of the samples mosaics": Change(LATEST | {f"{AUGMENTATION}.mosaic": 0.5}),
    "separable, all samples mosaics": Change(LATEST | {f"{AUGMENTATION}.mosaic": 1.0}),
    "separable, half of the samples mosaics, SimOTA": Change(
        LATEST | SIMOTA | {f"{AUGMENTATION}.mosaic": 0.5}
    ),
    "separable, faces pasted into half of the samples": Change(
        LATEST | {f"{AUGMENTATION}.paste": 0.5}
    ),
    "separable, half of the samples blurred, noisy, JPEG": Change(
        LATEST | {f"{AUGMENTATION}.degrade": 0.5}
    ),
    "separable, faces down to 3 px": Change(LATEST | {f"{AUGMENTATION}.min_face": 3.0}),
    "separable, scales to 1.1": Change(
        LATEST | {f"{AUGMENTATION}.scales": [0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.1]}
    ),
    "separable, SCRFD's scales": Change(
        LATEST | {f"{AUGMENTATION}.scales": [0.3, 0.45, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0]}
    ),
    "separable, crops of 256 px": Change(LATEST | {f"{AUGMENTATION}.size": 256}),
    "separable, crops of 448 px": Change(LATEST | {f"{AUGMENTATION}.size": 448}),
    "separable, no photometric augmentation": Change(
        LATEST | {f"{AUGMENTATION}.photometric": False}
    ),
    "separable, no averaged weights": Change(LATEST | {"hyper_parameters.ema_decay": None}),
    "separable, no landmarks": Change(
        LATEST | {f"{HEAD}.landmarks": False, f"{HEAD}.loss.landmark_weight": 0.0}
    ),
    "separable, GIoU": Change(LATEST | {f"{HEAD}.loss.box": "giou"}),
    "separable, focal loss": Change(LATEST | {f"{HEAD}.loss.classification": "focal"}),
    "separable, EIoU": Change(LATEST | {f"{HEAD}.loss.box": "eiou"}),
    "separable, centre sampling": Change(
        LATEST | {f"{HEAD}.loss.assigner": "center_sampling", f"{HEAD}.anchor_scale": None}
    ),
    "separable, SimOTA": Change(LATEST | SIMOTA),
    "separable, 24x1 64x3 64x3 64x2": Change(LATEST | stages((24, 1), (64, 3), (64, 3), (64, 2))),
    "separable, 16x1 72x3 72x3 72x2": Change(LATEST | stages((16, 1), (72, 3), (72, 3), (72, 2))),
    "separable, 16x1 64x3 96x2 96x2": Change(LATEST | stages((16, 1), (64, 3), (96, 2), (96, 2))),
    "as it ships": Change({}, as_it_ships=True),
    "as it ships, a quarter of the photos": Change(
        {"hyper_parameters.repeats": 4}, share=0.25, as_it_ships=True
    ),
    "as it ships, half of the photos": Change(
        {"hyper_parameters.repeats": 2}, share=0.5, as_it_ships=True
    ),
}


def main() -> None:
    """Train and measure the missing rows, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--save-to", type=Path, required=True)
    parser.add_argument("--train-ann-files", nargs="+", type=Path, required=True)
    parser.add_argument("--train-data-roots", nargs="+", required=True)
    parser.add_argument("--more-ann-files", nargs="*", default=[], type=Path)
    parser.add_argument("--more-data-roots", nargs="*", default=[])
    parser.add_argument("--wider-dir", required=True)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=CHANGES, default=[*CHANGES])
    asked = parser.parse_args()
    if asked.more_ann_files:
        paired(asked.more_ann_files, asked.more_data_roots)  # refuses a mismatch before any row
    print(f"| {TEMPLATE} | easy / medium / hard | difference |")
    print("|---|---|---|")
    first: list[float] = []
    for name in asked.only:
        change = CHANGES[name]
        if change.more and not asked.more_ann_files:
            continue
        found = measured(name, change, asked)
        figures = [found[key] for key in FIGURES]
        first = first or figures
        apart = [f"{one - other:+.1f}" for one, other in zip(figures, first, strict=True)]
        cells = [name, " / ".join(f"{value:.1f}" for value in figures), " / ".join(apart)]
        print(f"| {' | '.join(cells)} |", flush=True)


def measured(name: str, change: Change, asked: argparse.Namespace) -> dict[str, float]:
    """Figures in percent by key, measured on a network trained with this change."""
    folder = folder_of(name, asked)
    lists, roots, epochs = asked.train_ann_files, asked.train_data_roots, asked.epochs
    if change.more:
        usual = photos_in(*lists)
        pairs = [*paired(lists, roots), *paired(asked.more_ann_files, asked.more_data_roots)]
        lists, roots = ([pair[index] for pair in pairs] for index in range(2))
        epochs = max(1, round(epochs * usual / photos_in(*lists)))
    if change.share < 1:
        split = [
            split_coco(file, train_fraction=change.share, seed=1, output=folder / str(place))
            for place, file in enumerate(lists)
        ]
        lists = [chosen for chosen, _ in split]
    edits = {**({"initial_weights": None} if change.as_it_ships else BASE), **change.edits}
    this = other(asked, train_ann_files=lists, train_data_roots=roots, epochs=epochs)
    checkpoint = trained(TEMPLATE, edits, folder, this, "--seed", change.seed)
    return figures_of(checkpoint, folder / "metrics.json", "--wider-dir", asked.wider_dir)


def folder_of(name: str, asked: argparse.Namespace) -> Path:
    """The folder of a row in `--save-to`."""
    return Path(asked.save_to, "".join(sign if sign.isalnum() else "_" for sign in name))


def other(asked: argparse.Namespace, **changes: object) -> argparse.Namespace:
    """What was asked for, with some values changed."""
    return argparse.Namespace(**{**vars(asked), **changes})


def edited(template: str, edits: Mapping[str, Any], folder: Path) -> Path:
    """Write a template with new values into `folder`; returns its path.

    Args:
        template: Its name.
        edits: New values by dotted key; None removes an optional key.
        folder: Made if it is not there.
    """
    content = edited_content(template, edits)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "template.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def edited_content(template: str, edits: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a template with new values; see `edited`."""
    content: dict[str, Any] = yaml.safe_load(template_path(template).read_text())
    for key, value in edits.items():
        *parents, last = key.split(".")
        place = content
        for parent in parents:
            place = place[parent]
        if value is None and parents:
            place.pop(last, None)
        else:
            place[last] = value
    return content


def trained(
    template: str,
    edits: Mapping[str, Any],
    folder: Path,
    asked: argparse.Namespace,
    *options: object,
    start: Path | None = None,
) -> Path:
    """The checkpoint of a whole training with an edited template; an interrupted one goes on.

    Args:
        template: The template.
        edits: New values by dotted key; None removes an optional key.
        folder: Where the training writes.
        asked: `epochs`, `train_ann_files`, `train_data_roots` and `precision` of the training.
        options: Further flags of `train`.
        start: Weights to start from; None for the template's.

    Raises:
        UserError: The folder has a checkpoint that was trained by other settings.
    """
    checkpoint = folder / "latest.pth"
    settings = {
        "template": _recipe(edited_content(template, edits)),
        "epochs": asked.epochs,
        "photos": [sha256_file(Path(one)) for one in asked.train_ann_files],
        "precision": asked.precision,
        "options": [str(one) for one in options],
        "start": None if start is None else sha256_file(start),
    }
    behind = read_weights(checkpoint).epochs if checkpoint.exists() else 0
    if behind > asked.epochs:
        raise UserError(f"{checkpoint}: has {behind} epochs: expected at most {asked.epochs}")
    keep_settings(folder, settings, begun=checkpoint.exists(), older=_of_older(folder))
    if behind < asked.epochs:
        begin: list[object] = [] if start is None else ["--load-weights", start]
        if behind:
            begin = ["--resume-from", checkpoint]
        run("train", "--template", edited(template, edits, folder), *begin,
            "--train-ann-files", *asked.train_ann_files,
            "--train-data-roots", *asked.train_data_roots, *options,
            "--epochs", asked.epochs, "--precision", asked.precision,
            "--save-checkpoints-to", folder)  # fmt: skip
    return checkpoint


def _recipe(content: Mapping[str, Any]) -> dict[str, Any]:
    """What of a template a training depends on."""
    return {key: content[key] for key in ("dataset", "hyper_parameters", "input", "architecture")}


def _of_older(folder: Path) -> dict[str, Any]:
    """What a folder tells where an older version of this script kept no settings."""
    found: dict[str, Any] = {}
    template, receipt = folder / "template.yaml", folder / "receipt.yaml"
    if template.exists():
        found["template"] = _recipe(yaml.safe_load(template.read_text()))
    if receipt.exists():
        start = yaml.safe_load(receipt.read_text())["starts"][-1]
        found |= {key: start["settings"][key] for key in ("epochs", "precision")}
        found["photos"] = [one["sha256"] for one in start["files"]["train_annotations"]]
    return found


def figures_of(checkpoint: Path, kept: Path, *flags: object) -> dict[str, float]:
    """Figures of `eval`, by key; those of an earlier start if nothing has changed since.

    Args:
        checkpoint: What to measure.
        kept: The JSON file that keeps them.
        flags: Further flags of `eval`.
    """
    of = {"checkpoint": sha256_file(checkpoint), "flags": digested(flags)}
    if kept.exists():
        content = json.loads(kept.read_text(encoding="utf-8"))
        if content["of"] == of:
            return dict(content["figures"])
    figures = evaluated("--load-weights", checkpoint, *flags)
    with atomic_write(kept, "w") as file:
        json.dump({"of": of, "figures": figures}, file, indent=1)
    return figures


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
    ended(main)
