"""What a run gave, for people, and for `dvc metrics` and `dvc plots`.

    python report.py MODEL LIST ROOT [--examples N] [--seed N]

Runs in the folder of the pipeline, with the outputs of the stages before. Writes metrics.json, and
in the folder report: report.html, report.pdf, predictions.csv, plots, and the points of the ROC.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from pages import Page, write_html, write_pdf

import pocketface
from pocketface.compressing.report import CompressionReport
from pocketface.data.images import read_image
from pocketface.evaluation.figures import decisive
from pocketface.evaluation.verification import accepted, all_pairs, best_threshold, similarities
from pocketface.evaluation.verification_plots import draw_roc, draw_scores
from pocketface.runtimes import models_at
from pocketface.tasks import task_of
from pocketface.tasks.measuring import Labels
from pocketface.tasks.model import Model
from pocketface.tasks.recognition.embeddings import embeddings_of
from pocketface.tasks.recognition.measure import people_of

OUT = Path("report")
Rows = list[dict[str, Any]]


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a model file, or a folder: the first one in it")
    parser.add_argument("list", type=Path, help="of the test photos")
    parser.add_argument("root", type=Path, help="folder of the photos")
    parser.add_argument("--examples", type=int, default=10, help="rows of predictions.csv")
    parser.add_argument("--seed", type=int, default=0, help="of their choice")
    asked = parser.parse_args()
    compressed = CompressionReport.model_validate_json(
        Path("compress/compression.json").read_text(encoding="utf-8")
    )
    if not compressed.rows:
        parser.error(f"compress/compression.json has no file: {'; '.join(compressed.failed)}")
    exported = models_at(asked.model)
    if not exported:
        parser.error(f"{asked.model} has no model file: expected one by `pocketface export`")
    OUT.mkdir(exist_ok=True)
    model = pocketface.load(exported[0])
    task = task_of(model.contract.task)
    samples = task.samples.read(Labels([asked.list], [asked.root]), rules=model.contract.rules)
    random = np.random.default_rng(asked.seed)
    examples = chosen(model, samples, asked.examples, random)
    if isinstance(model, pocketface.FaceRecognizer):
        predictions = verified(model, samples, asked.examples, random)
    else:
        predictions = [answered(model, sample) for sample in examples]
    write_table(OUT / "predictions.csv", predictions)
    if task.preview is not None:
        cv2.imwrite(str(OUT / "examples.png"), task.preview.preview(model, examples))
    shutil.copy("train/curves.png", OUT)
    write_training(decisive(task.measure.FIGURES).key)

    evaluated = yaml.safe_load(Path("evaluate/metrics.yaml").read_text(encoding="utf-8"))
    figures = [one for one in evaluated["metrics"] if one["value"] is not None]
    metrics = {
        "test": {one["key"]: one["value"] for one in figures},
        compressed.rows[0].precision: measured_again(compressed, samples),
    }
    Path("metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    measured = [[one["display_name"], f"{one['value']:g}", one["unit"]] for one in figures]
    cells = [[str(cell) for cell in row.values()] for row in predictions]
    told = {"Predictions": (list(predictions[0]), cells)} if predictions else {}
    page = Page(
        title=f"{model.contract.name}: {model.contract.task}",
        settings=Path("params.yaml").read_text(encoding="utf-8"),
        tables={
            "On the test photos": (["figure", "value", "unit"], measured),
            "Compressed, on the validation photos": compressed.table(),
            **told,
        },
        pictures={
            "Training: losses, and figures on the validation photos": OUT / "curves.png",
            "ROC on the test photos": OUT / "roc.png",
            "Cosines on the test photos": OUT / "scores.png",
            "Some of the test photos": OUT / "examples.png",
        },
    )
    write_html(page, OUT / "report.html")
    write_pdf(page, OUT / "report.pdf")


def measured_again(compressed: CompressionReport, samples: Sequence[Any]) -> dict[str, float]:
    """Megabytes of the first compressed file, and its figures on the test photos, in percent."""
    row = compressed.rows[0]
    model = pocketface.load(Path("compress", row.file))
    found = task_of(model.contract.task).measure.measure(model, samples).figures
    shares = {key: found[key] for key in compressed.limits}
    return {
        "megabytes": round((row.after or row.before).bytes / 1e6, 3),
        **{key: round(100 * share, 2) for key, share in shares.items() if share is not None},
    }


def chosen(
    model: Model[Any], samples: Sequence[Any], count: int, random: np.random.Generator
) -> list[Any]:
    """Samples of each kind in turn, such as of each label."""
    kinds: dict[Any, list[Any]] = {}
    stratum = task_of(model.contract.task).samples.stratum
    for place in random.permutation(len(samples)):
        kind = stratum(model.contract, samples[place])
        if kind is not None:
            kinds.setdefault(kind, []).append(samples[place])
    mixed = [one for turn in zip_longest(*kinds.values()) for one in turn if one is not None]
    return mixed[:count]


def answered(model: Model[Any], sample: Any) -> dict[str, Any]:
    """What is known of a sample, and what the model says of it."""
    task, rules = task_of(model.contract.task), model.contract.rules
    known = ""
    if hasattr(sample, "label"):
        known = rules["labels"][sample.label]
    elif hasattr(sample, "boxes"):
        known = f"{len(sample.boxes)} faces"
    elif hasattr(sample, "mask_path"):
        known = str(sample.mask_path)
    steps = model.steps()
    points = getattr(sample, "landmarks", None)
    batch, about = steps.prepare([read_image(sample.path)], [points])
    (answer,) = steps.finish(steps.infer(batch), about)
    said = task.draw.told(answer).text or json.dumps(answer.to_dict())
    return {"image": str(sample.path), "labelled": known, "answer": said}


def verified(
    model: pocketface.FaceRecognizer,
    samples: Sequence[Any],
    count: int,
    random: np.random.Generator,
) -> Rows:
    """Draw the plots of verification, and compare some pairs, half of them of one person."""
    people, vectors = people_of(samples), embeddings_of(model, samples)
    genuine, impostor = all_pairs(vectors, people)
    draw_roc({model.contract.name: (genuine, impostor)}, OUT / "roc.png")
    points = {f"FMR {point.fmr:g}": point.cosine for point in model.rules.thresholds}
    draw_scores(genuine, impostor, OUT / "scores.png", thresholds=points)
    write_roc(accepted(impostor), accepted(genuine))
    one, other = np.triu_indices(len(samples), 1)
    known = (people[one] >= 0) & (people[other] >= 0)
    same = people[one] == people[other]
    if model.rules.thresholds:
        sure = model.rules.thresholds[-1]
        threshold, what = sure.cosine, f"answer at FMR {sure.fmr:g}"
    else:  # too few photos to validate on for any false match rate
        scores = similarities(vectors, np.stack([one[known], other[known]], axis=1))
        threshold, what = best_threshold(scores, same[known]), "answer at the best threshold"
    rows = []
    for is_same, some in ((True, count - count // 2), (False, count // 2)):
        for place in random.permutation(np.flatnonzero(known & (same == is_same)))[:some]:
            first, second = samples[one[place]], samples[other[place]]
            cosine = float(vectors[one[place]] @ vectors[other[place]])
            probability = model.probability(cosine)
            said = cosine >= threshold
            rows.append(
                {
                    "image": str(first.path),
                    "other": str(second.path),
                    "same person": "yes" if is_same else "no",
                    what: "yes" if said else "no",
                    "cosine": f"{cosine:.4f}",
                    "probability": "" if probability is None else f"{probability:.4f}",
                    "right": "yes" if said == is_same else "no",
                }
            )
    return rows


def write_roc(far: NDArray[np.float64], tar: NDArray[np.float64]) -> None:
    """Write the least FAR of each TAR."""
    rates, first = np.unique(tar[::-1], return_index=True)
    points = zip(far[::-1][first].round(6), rates.round(6), strict=True)
    write_table(OUT / "roc.csv", [{"FAR": far, "TAR": tar} for far, tar in points])


def write_training(figure: str) -> None:
    """Write the loss of each epoch, and the figure on the validation photos by which it is chosen.

    The log has a row for each kind of value, with the other columns empty.
    """
    epochs: dict[str, dict[str, str]] = {}
    with Path("train/logs/csv/version_0/metrics.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            known = {name: value for name, value in row.items() if value}
            epochs.setdefault(row["epoch"], {}).update(known)
    rows = [
        {
            "epoch": int(epoch) + 1,
            "loss": known["train/loss_epoch"],
            "validated": known.get(f"val/{figure}", ""),
        }
        for epoch, known in epochs.items()
    ]
    write_table(OUT / "training.csv", rows)


def write_table(path: Path, rows: Rows) -> None:
    """Write rows as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]) if rows else [])
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
