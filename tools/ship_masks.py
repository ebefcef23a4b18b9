"""Put a trained segmenter where a template's weights are, with figures measured on it.

    python tools/ship_masks.py face-segmentation-n runs/n/latest.pth test.masks.json \
        ../shared/data/celebamask \
        --protocol "499 photos of CelebAMask-HQ" [--half] [--epochs 214] [--dry-run]

Writes weights.safetensors and template.yaml, whose recipe stays, receipt.yaml and curves.png of
the run, and prints all figures. Then: `python tools/ready_files.py face-segmentation-n`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pocketface.evaluation.figures import Figure
from pocketface.model_templates import template_path
from pocketface.models.weights import read_weights
from pocketface.tasks.segmentation.measure import FIGURES
from pocketface.tools.running import ended
from pocketface.tools.ship import measured, place, receipt_of, write_shipped

TOLD = ("iou", "dice", "boundary_f")
"""Figures that the template states."""


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("template")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("pairs", type=Path, help="held-out .masks.json")
    parser.add_argument("root", type=Path, help="folder of its photos")
    parser.add_argument("--protocol", required=True, help="what the pairs are")
    parser.add_argument("--half", action="store_true", help="ship 16 bits")
    parser.add_argument("--epochs", type=int, help="of all its trainings in a row")
    parser.add_argument("--dry-run", action="store_true", help="measure alone")
    asked = parser.parse_args()
    if not asked.dry_run:
        receipt_of(asked.checkpoint)
    path = template_path(asked.template)
    text = path.read_text()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "weights.safetensors"
        trained = read_weights(asked.checkpoint)
        write_shipped(file, trained, text, half=asked.half, epochs=asked.epochs)
        found = measured(file, asked.pairs, asked.root)
        print(", ".join(f"{key} {value:.4g}" for key, value in found.items()))
        metrics = entries(found, FIGURES, TOLD, protocol=asked.protocol)
        place(file, path, text, metrics=metrics, checkpoint=asked.checkpoint, dry=asked.dry_run)


def entries(
    found: Mapping[str, float], figures: Sequence[Figure], told: Sequence[str], *, protocol: str
) -> str:
    """The entries of a template's `metrics`: some of a task's figures."""
    names = {figure.key: figure.title for figure in figures}
    return "".join(
        f"  - key: {key}\n"
        f'    display_name: "{names[key]}"\n'
        f"    value: {found[key]:.2f}\n"
        '    unit: "%"\n'
        f'    protocol: "{protocol}"\n'
        for key in told
    )


if __name__ == "__main__":
    ended(main)
