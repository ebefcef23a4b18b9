"""Put a trained segmenter where a template's weights are, with figures measured on it.

    python tools/ship_masks.py face-segmentation-n runs/n/latest.pth test.masks.json \
        ../shared/data/celebamask \
        --protocol "499 photos of CelebAMask-HQ" [--half] [--epochs 214] [--dry-run]

Writes weights.safetensors and template.yaml, whose recipe stays, receipt.yaml and curves.png of
the run, and prints all figures. Then: `python tools/ready_files.py face-segmentation-n`.
"""

from __future__ import annotations

import argparse
import runpy
import shutil
import tempfile
from pathlib import Path

from pocketface.files import sha256_file
from pocketface.model_templates import template_path
from pocketface.models.weights import halved, read_weights, write_weights
from pocketface.tasks.segmentation.measure import FIGURES

SHIP = Path(__file__).with_name("ship.py")
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
    ship = runpy.run_path(str(SHIP))
    path = template_path(asked.template)
    text = path.read_text()
    trained = read_weights(asked.checkpoint)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "weights.safetensors"
        write_weights(
            file,
            template_text=ship["INITIAL_WEIGHTS"].sub("initial_weights: null\n", text),
            state_dict=halved(trained.state_dict) if asked.half else trained.state_dict,
            epochs=asked.epochs or trained.epochs,
            data=trained.data,
            seed=trained.seed,
            hooks=trained.hooks,
        )
        found = ship["measured"](file, asked.pairs, asked.root)
        print(", ".join(f"{key} {value:.4g}" for key, value in found.items()))
        if asked.dry_run:
            return
        text = ship["METRICS"].sub(f"metrics:\n{metrics_of(found, asked.protocol)}", text)
        there = (
            f'  file: {file.name}\n  sha256: "{sha256_file(file)}"\n  size: {file.stat().st_size}\n'
        )
        text = ship["INITIAL_WEIGHTS"].sub(f"initial_weights:\n{there}", text)
        shutil.copyfile(file, path.with_name(file.name))
    path.write_text(text)
    for kept in ("receipt.yaml", "curves.png"):
        shutil.copyfile(asked.checkpoint.with_name(kept), path.with_name(kept))


def metrics_of(found: dict[str, float], protocol: str) -> str:
    """The entries of a template's `metrics`."""
    names = {figure.key: figure.title for figure in FIGURES}
    return "".join(
        f"  - key: {key}\n"
        f'    display_name: "{names[key]}"\n'
        f"    value: {found[key]:.2f}\n"
        '    unit: "%"\n'
        f'    protocol: "{protocol}"\n'
        for key in TOLD
    )


if __name__ == "__main__":
    main()
