"""Put a trained recogniser where a template's weights are, with figures measured on it.

    python tools/ship_people.py face-recognition-n runs/n/latest.pth \
        --calibrate val.identities.json ../shared/data/face_identities "photos of CelebA and pins" \
        --test lfw.identities.json ../shared/data/lfw/lfw "LFW, 6,000 pairs, 10 folds" \
        [--half] [--epochs 80] [--dry-run]

Measures thresholds and calibration on the first list and figures on the second, writes both into
template.yaml, whose recipe stays, writes weights.safetensors, receipt.yaml and curves.png of the
run, and prints all figures. Then: `python tools/ready_files.py face-recognition-n`.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

import yaml

from pocketface.data.identities import read_identities
from pocketface.model_templates import template_path
from pocketface.models.weights import read_weights
from pocketface.tasks.load import load_as
from pocketface.tasks.recognition.measure import FIGURES, measure
from pocketface.tasks.recognition.model import FaceRecognizer
from pocketface.tools.running import ended
from pocketface.tools.ship import changed, measured, place, receipt_of, write_shipped
from pocketface.tools.ship_masks import entries

TOLD = ("fold_accuracy", "tar_1e-3", "eer")
"""Figures that the template states."""

INFERENCE = re.compile(r"^inference:.*\n(?:  .*\n)*", flags=re.MULTILINE)


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("template")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--calibrate", nargs=3, metavar=("LIST", "ROOT", "WORDS"), required=True)
    parser.add_argument("--test", nargs=3, metavar=("LIST", "ROOT", "WORDS"), required=True)
    parser.add_argument("--half", action="store_true", help="ship 16 bits")
    parser.add_argument("--epochs", type=int, help="of all its trainings in a row")
    parser.add_argument("--dry-run", action="store_true", help="measure alone")
    asked = parser.parse_args()
    if not asked.dry_run:
        receipt_of(asked.checkpoint)
    path = template_path(asked.template)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "weights.safetensors"
        trained = read_weights(asked.checkpoint)
        text = changed(path.read_text(), INFERENCE, "inference: {}\n")
        write_shipped(file, trained, text, half=asked.half, epochs=asked.epochs)
        text = text.replace("inference: {}\n", inference_of(file, *asked.calibrate))
        write_shipped(file, trained, text, half=asked.half, epochs=asked.epochs)
        found = measured(file, Path(asked.test[0]), Path(asked.test[1]))
        print(", ".join(f"{key} {value:.4g}" for key, value in found.items() if value is not None))
        metrics = entries(found, FIGURES, TOLD, protocol=asked.test[2])
        place(file, path, text, metrics=metrics, checkpoint=asked.checkpoint, dry=asked.dry_run)


def inference_of(file: Path, listed: str, root: str, words: str) -> str:
    """The template's `inference`, measured on a list of photos."""
    model = load_as(FaceRecognizer, file)
    found = measure(model, read_identities([Path(listed)], [Path(root)]).photos)
    settled = dict(found.settled)
    settled["measured_on"] = str(settled["measured_on"]).replace("photos", words, 1)
    print(f"on {settled['measured_on']}: TAR at FAR 1e-3 {found.figures['tar_1e-3']:.4f}")
    return yaml.safe_dump({"inference": settled}, sort_keys=False, width=100)


if __name__ == "__main__":
    ended(main)
