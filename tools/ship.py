"""Put a trained checkpoint where a template's weights are, with figures measured on it.

    python tools/ship.py face-detection-n runs/n/latest.pth ../shared/data LISTS \
        [--half] [--score-threshold 0.42] [--epochs 214] [--dry-run]

LISTS holds wider_val.json (`pocketface data wider`) and train.val.json (`pocketface data split`).
Writes weights.safetensors and template.yaml, whose recipe stays, receipt.yaml and curves.png of
the run, and prints what the data card tells, and the figures of the template until now. An average
(tools/average.py) has a receipt but no curves.png: then the old one stays. Then:
`python tools/ready_files.py face-detection-n`.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from pocketface.errors import UserError
from pocketface.files import atomic_write, sha256_file
from pocketface.model_templates import template_path
from pocketface.model_templates.contract import Metric
from pocketface.models.weights import Weights, halved, read_weights, write_weights
from pocketface.tasks.detection.measure import SCORE_FLOOR
from pocketface.tasks.detection.rules import InferenceSpec
from pocketface.tasks.rules import inference_in
from pocketface.tasks.templates import parse_template
from pocketface.tools.running import ended, evaluated, photos_in

HELD_OUT = ("wider_easy", "wider_medium", "wider_hard", "ap50", "ap_small", "ap_medium", "ap_large")
INITIAL_WEIGHTS = re.compile(r"^initial_weights:(?: null)?\n(?:  .*\n)*", flags=re.MULTILINE)
SCORE_THRESHOLD = re.compile(r"(?<=^  score_threshold: ).*", flags=re.MULTILINE)
METRIC = """\
  - key: wider_{part}
    display_name: WIDER FACE AP, {part}
    value: {value:.2f}
    unit: "%"
    protocol: {photos} held-out WIDER photos, {input}, score floor {floor:g}, NMS IoU {nms:g}
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
    if not asked.dry_run:
        receipt_of(asked.checkpoint)
    path = template_path(asked.template)
    text = path.read_text()
    if asked.score_threshold is not None:
        text = changed(text, SCORE_THRESHOLD, f"{asked.score_threshold:g}")
    wider = asked.data / "wider_face"
    held_out, learnt = asked.lists / "wider_val.json", asked.lists / "train.val.json"
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "weights.safetensors"
        trained = read_weights(asked.checkpoint)
        write_shipped(file, trained, text, half=asked.half, epochs=asked.epochs)
        found = measured(file, held_out, wider / "WIDER_val" / "images", "--wider-dir", wider)
        tell(held_out, "held-out", found, HELD_OUT)
        tell(learnt, "training", measured(file, learnt, wider / "train"), LEARNT)
        template = parse_template(text, source=str(path))
        spec = template.input
        placed = {"stretch": "stretched"}.get(spec.resize, spec.resize)
        metrics = "".join(
            METRIC.format(
                part=key.removeprefix("wider_"),
                value=found[key],
                photos=photos_in(held_out),
                input=f"{placed} to {spec.width}x{spec.height}",
                floor=SCORE_FLOOR,
                nms=inference_in(InferenceSpec, template).nms_iou,
            )
            for key in HELD_OUT[:3]
        )
        place(file, path, text, metrics=metrics, checkpoint=asked.checkpoint, dry=asked.dry_run)


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


def tell(labels: Path, kind: str, figures: Mapping[str, float], keys: Sequence[str]) -> None:
    """Print some figures on the photos of a list."""
    told = ", ".join(f"{key} {figures[key]:.2f}" for key in keys)
    print(f"{photos_in(labels)} {kind} photos: {told}")


def receipt_of(checkpoint: Path) -> Path:
    """The receipt of a checkpoint's training.

    Raises:
        UserError: There is none: weights that nobody can make again do not ship.
    """
    receipt = checkpoint.with_name("receipt.yaml")
    if not receipt.is_file():
        raise UserError(
            f"{checkpoint}: expected beside it the receipt.yaml of its training, or of its average"
        )
    return receipt


def changed(text: str, part: re.Pattern[str], new: str) -> str:
    """A template's text with another text for one part of it."""
    text, times = part.subn(lambda _: new, text)
    if times != 1:
        raise UserError(f"template.yaml has {part.pattern!r} {times} times: expected once")
    return text


def place(
    file: Path, template: Path, text: str, *, metrics: str, checkpoint: Path, dry: bool
) -> None:
    """Put weights beside their template, with what their training left beside its checkpoint.

    Old and new figures are printed. Either all files are new or, if one of them cannot be written,
    none is.

    Args:
        file: From `write_shipped`.
        template: The template's file.
        text: Its text, which gets the weights' checksum.
        metrics: The entries of its `metrics`.
        checkpoint: The training's checkpoint.
        dry: Whether to print alone.
    """
    size = file.stat().st_size
    there = f'  file: {file.name}\n  sha256: "{sha256_file(file)}"\n  size: {size}\n'
    before = {one.key: one for one in parse_template(text, source=str(template)).metrics}
    text = changed(text, METRICS, f"metrics:\n{metrics}")
    text = changed(text, INITIAL_WEIGHTS, f"initial_weights:\n{there}")
    for one in parse_template(text, source=f"{template}, as it is to be").metrics:
        print(compared(before.get(one.key), one))
    if dry:
        return
    beside = [file, receipt_of(checkpoint)]
    curves = checkpoint.with_name("curves.png")
    if curves.is_file():
        beside.append(curves)
    elif template.with_name(curves.name).exists():
        print(f"{curves}: not there; {template.with_name(curves.name)} stays as it was")
    with ExitStack() as written:  # each takes its place when all are written
        for path in beside:
            new = written.enter_context(atomic_write(template.with_name(path.name)))
            new.write(path.read_bytes())
        written.enter_context(atomic_write(template, "w")).write(text)


def compared(before: Metric | None, now: Metric) -> str:
    """A figure beside the one that a template had until now."""
    told = f"{now.key}: {now.value}"
    if before is not None:
        told += f", was {before.value}"
        if before.protocol != now.protocol:
            told += f" on {before.protocol}; now {now.protocol}"
    return told


def measured(file: Path, labels: Path, photos: Path, *more: object) -> dict[str, float]:
    """The figures of `pocketface eval` for a file, by key."""
    return evaluated(
        "--load-weights", file, "--test-ann-files", labels, "--test-data-roots", photos, *more
    )


if __name__ == "__main__":
    ended(main)
