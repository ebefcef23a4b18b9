"""What is learnt from a few photos of one scene, and what is forgotten elsewhere: one table.

    python tools/few_photos.py ../shared/data

face-detection-n goes on from its shipped weights on five of the ten airport photos; each row is
another length, rate or teacher. Prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import yaml

from pocketface.data.split import split_coco
from pocketface.model_templates import template_path
from pocketface.model_templates.catalogue import shipped_weights
from pocketface.tasks.templates import open_template
from pocketface.tools.running import ended, evaluated, run

TEMPLATE = "face-detection-n"
ROWS = ((10, 1e-3, None), (10, 3e-4, None), (40, 1e-3, None), (40, 3e-4, None), (40, 1e-4, None))
ROWS_WITH_TEACHER = ((10, 1e-3, "face-detection-m"), (40, 3e-4, "face-detection-m"))
"""Epochs (of one step each), base learning rate, teacher."""

FIGURES = ("ap", "ap50"), ("wider_easy", "wider_medium", "wider_hard")


def main() -> None:
    """Train and measure each row, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    scene = data / "airport"
    weights = shipped_weights(open_template(TEMPLATE))
    if weights is None:
        raise SystemExit(f"{TEMPLATE} ships no weights")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        learnt, measured = split_coco(
            scene / "annotation_faces_train.json", train_fraction=0.5, seed=0, output=folder
        )

        def row(title: str, checkpoint: Path) -> None:
            found = evaluated(
                "--load-weights", checkpoint, "--test-ann-files", measured,
                "--test-data-roots", scene, "--wider-dir", data / "wider_face",
            )  # fmt: skip
            cells = (
                separator.join(f"{found[key]:.1f}" for key in keys)
                for keys, separator in zip(FIGURES, (", ", " / "), strict=True)
            )
            print(f"| {title} | {' | '.join(cells)} |", flush=True)

        print("| epochs, rate | the scene: AP, AP50 | WIDER: easy / medium / hard |")
        print("|---|---|---|")
        row("as it ships", weights)
        for place, (epochs, rate, teacher) in enumerate(ROWS + ROWS_WITH_TEACHER):
            template = yaml.safe_load(template_path(TEMPLATE).read_text())
            template["initial_weights"] = None
            if teacher:
                template["hyper_parameters"]["distillation"] = {"teacher": teacher}
            path = folder / "template.yaml"
            path.write_text(yaml.safe_dump(template, sort_keys=False))
            output = folder / str(place)
            run("train", "--template", path, "--load-weights", weights,
                "--train-ann-files", learnt, "--train-data-roots", scene, "--batch-size", 5,
                "--epochs", epochs, "--base-learning-rate", rate, "--seed", 0,
                "--save-checkpoints-to", output)  # fmt: skip
            taught = f", `distillation: {{teacher: {teacher}}}`" if teacher else ""
            row(f"{epochs}, {rate:g}{taught}", output / "latest.pth")


if __name__ == "__main__":
    ended(main)
