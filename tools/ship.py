"""Put a trained checkpoint where a template's weights are, with figures measured on it.

    python tools/ship.py face-detection-n runs/n/latest.pth ../shared/data LISTS \
        [--half] [--score-threshold 0.42] [--epochs 214] [--dry-run]

LISTS holds wider_val.json (`pocketface data wider`) and train.val.json (`pocketface data split`).
Writes weights.safetensors and template.yaml, whose recipe stays, receipt.yaml and curves.png of
the run, and prints what the data card tells.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import yaml

import pocketface.cli
from pocketface.files import sha256_file
from pocketface.model_templates import template_path
from pocketface.models.weights import Weights, halved, read_weights, write_weights
from pocketface.tasks.detection.measure import SCORE_FLOOR
from pocketface.tasks.detection.rules import InferenceSpec
from pocketface.tasks.rules import inference_in

HELD_OUT = ("wider_easy", "wider_medium", "wider_hard", "ap50", "ap_small", "ap_medium", "ap_large")
INITIAL_WEIGHTS = re.compile(r"^initial_weights:(?: null)?\n(?:  .*\n)*", flags=re.MULTILINE)
METRIC = """\
  - key: wider_{part}
    display_name: WIDER FACE AP, {part}
    value: {value:.2f}
    unit: "%"
    protocol: 500 held-out WIDER photos, {input}, score floor {floor:g}, NMS IoU {nms:g}
"""
METRICS = re.compile(r"^metrics:(?: \[\])?\n(?:  .*\n)*", flags=re.MULTILINE)
LEARNT = ("ap50", "ap_small", "ap_medium", "ap_large", "best_f1", "best_f1_threshold")


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("template")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("lists", type=Path)
    parser.add_argument("--half", action="store_true", help="ship 16 bits")
    parser.add_argument("--score-threshold", type=float, help="the new default")
    parser.add_argument("--epochs", type=int, help="of all its trainings in a row")
    parser.add_argument("--dry-run", action="store_true", help="measure alone")
    asked = parser.parse_args()
    path = template_path(asked.template)
    text = path.read_text()
    if asked.score_threshold is not None:
        text = re.sub(r"(score_threshold: ).*", rf"\g<1>{asked.score_threshold:g}", text)
    trained = read_weights(asked.checkpoint)
    wider, lists = asked.data / "wider_face", asked.lists
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "weights.safetensors"
        write_shipped(file, trained, text, half=asked.half, epochs=asked.epochs)
        found = measured(file, lists / "wider_val.json", wider / "WIDER_val" / "images", wider)
        learnt = measured(file, lists / "train.val.json", wider / "train")
        for title, figures, keys in (
            ("500 held-out photos", found, HELD_OUT),
            ("302 training photos", learnt, LEARNT),
        ):
            print(f"{title}: " + ", ".join(f"{key} {figures[key]:.2f}" for key in keys))
        if asked.dry_run:
            return
        spec = trained.template.input
        nms = inference_in(InferenceSpec, trained.template).nms_iou
        placed = {"stretch": "stretched"}.get(spec.resize, spec.resize)
        metrics = "".join(
            METRIC.format(
                part=key.removeprefix("wider_"),
                value=found[key],
                input=f"{placed} to {spec.width}x{spec.height}",
                floor=SCORE_FLOOR,
                nms=nms,
            )
            for key in HELD_OUT[:3]
        )
        place(file, path, text, metrics=metrics, checkpoint=asked.checkpoint)


def write_shipped(
    file: Path, trained: Weights, text: str, *, half: bool, epochs: int | None
) -> None:
    """Write the weights that are to ship.

    Args:
        file: Where.
        trained: A training's checkpoint.
        text: The template that they are for.
        half: Whether with 16 bits.
        epochs: Of all its trainings in a row; None for the checkpoint's own.
    """
    write_weights(
        file,
        template_text=INITIAL_WEIGHTS.sub("initial_weights: null\n", text),
        state_dict=halved(trained.state_dict) if half else trained.state_dict,
        epochs=epochs or trained.epochs,
        data=trained.data,
        seed=trained.seed,
        hooks=trained.hooks,
    )


def place(file: Path, template: Path, text: str, *, metrics: str, checkpoint: Path) -> None:
    """Put weights beside their template, with what their training left beside its checkpoint.

    Args:
        file: From `write_shipped`.
        template: The template's file.
        text: Its text, which gets the weights' checksum.
        metrics: The entries of its `metrics`.
        checkpoint: The training's checkpoint.
    """
    size = file.stat().st_size
    there = f'  file: {file.name}\n  sha256: "{sha256_file(file)}"\n  size: {size}\n'
    text = METRICS.sub(f"metrics:\n{metrics}", text)
    text = INITIAL_WEIGHTS.sub(f"initial_weights:\n{there}", text)
    shutil.copyfile(file, template.with_name(file.name))
    template.write_text(text)
    for kept in ("receipt.yaml", "curves.png"):
        shutil.copyfile(checkpoint.with_name(kept), template.with_name(kept))


def measured(file: Path, labels: Path, photos: Path, wider: Path | None = None) -> dict[str, float]:
    """The figures of `pocketface eval` for a file, by key."""
    more = [] if wider is None else ["--wider-dir", wider]
    with tempfile.TemporaryDirectory() as name:
        metrics = Path(name) / "metrics.yaml"
        arguments = ["eval", "--load-weights", file, "--test-ann-files", labels,
            "--test-data-roots", photos, *more, "--save-metrics-to", metrics]  # fmt: skip
        with redirect_stdout(sys.stderr):
            if code := pocketface.cli.main([str(one) for one in arguments]):
                raise SystemExit(code)
        content = yaml.safe_load(metrics.read_text())
    return {one["key"]: one["value"] for one in content["metrics"]}


if __name__ == "__main__":
    main()
