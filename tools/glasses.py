"""Do exported files give the labels of the trained network? Prints a table.

    python tools/glasses.py glasses-n LIST.csv PHOTOS

takes a list that `pocketface data glasses` wrote, and the folder of its photos.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pocketface
from pocketface.data.align import align_face
from pocketface.data.images import read_image
from pocketface.data.labelled_faces import read_labelled_faces
from pocketface.exporting import ExportRequest, export_model
from pocketface.exporting.formats import ALL
from pocketface.model_templates.catalogue import shipped_weights
from pocketface.models.weights import read_weights
from pocketface.tasks.templates import open_template


def load(path: Path) -> pocketface.FaceClassifier:
    """Open a classifier's file."""
    model = pocketface.load(path)
    assert isinstance(model, pocketface.FaceClassifier)
    return model


def main() -> None:
    """Export in all formats and precisions, label all faces with each file, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("template")
    parser.add_argument("list", type=Path)
    parser.add_argument("photos", type=Path)
    asked = parser.parse_args()
    weights = shipped_weights(open_template(asked.template))
    if weights is None:
        parser.error(f"{asked.template} ships no weights")
    trained = load(weights)
    spec = trained.contract.input
    faces = [
        align_face(read_image(face.path), face.landmarks, spec)
        for face in read_labelled_faces([asked.list], [asked.photos], classes=trained.rules.labels)
        if face.found
    ]
    expected = trained.classify(faces)
    print("| file | bytes | same label | largest difference |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        report = export_model(
            ExportRequest(
                weights=read_weights(weights),
                folder=Path(folder),
                formats=[ALL],
                precisions=("fp32", "fp16"),
            )
        )
        for one in report.files:
            if one.file is None:
                continue
            found = load(one.file).classify(faces)
            pairs = list(zip(expected, found, strict=True))
            same = sum(ours.label == theirs.label for ours, theirs in pairs)
            apart = max(abs(ours.scores - theirs.scores).max() for ours, theirs in pairs)
            print(f"| `{one.file.name}` | {one.size} | {same} of {len(faces)} | {apart:.1e} |")


if __name__ == "__main__":
    main()
