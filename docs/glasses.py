"""Do exported files give the labels of the trained network? Prints a table.

docs/glasses.py glasses-n LIST.csv PHOTOS      # a list that `pocketface data glasses` wrote
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pocketface
from pocketface.data.images import read_image
from pocketface.data.labelled_faces import read_labelled_faces
from pocketface.export import export_model
from pocketface.model_templates import template_path
from pocketface.models.weights import shipped_weights
from pocketface.runtimes.align import cut_face, similarity


def load(path: Path) -> pocketface.FaceClassifier:
    """A file that is known to be a classifier's."""
    model = pocketface.load(path)
    assert isinstance(model, pocketface.FaceClassifier)
    return model


def main(template: str, faces_list: str, photos: str) -> None:
    """Export in all formats and precisions, label all faces with each file, and compare."""
    weights = shipped_weights(template_path(template))
    assert weights is not None
    trained = load(weights)
    spec = trained.contract.input
    assert spec.points is not None
    faces = [
        cut_face(read_image(face.path), similarity(face.landmarks, spec.points), spec)
        for face in read_labelled_faces(
            [Path(faces_list)], [Path(photos)], classes=trained.contract.labels
        )
        if face.found
    ]
    expected = trained.classify(faces)
    print("| file | bytes | same label | largest difference |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        report = export_model(
            weights=weights, template=None, folder=Path(folder), precisions=("fp32", "fp16")
        )
        for row in report.rows:
            if row.file is None:
                continue
            found = load(row.file).classify(faces)
            pairs = list(zip(expected, found, strict=True))
            same = sum(one.label == other.label for one, other in pairs)
            apart = max(abs(one.scores - other.scores).max() for one, other in pairs)
            print(f"| `{row.file.name}` | {row.size} | {same} of {len(faces)} | {apart:.1e} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
