"""What ships does what it is for: every file of it passes, and finds the faces of known photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import matplotlib
import numpy as np
import pytest
import skimage

import pocketface
from pocketface.export import ExportPrecision, ExportReport, export_model
from pocketface.model_templates import template_names, template_path
from pocketface.models.weights import shipped_weights
from pocketface.results import LANDMARK_NAMES

# By eye: x1, y1, x2, y2 of the face, and x, y of the five landmarks.
PHOTOS = {
    Path(skimage.__file__).parent / "data" / "astronaut.png": (
        [182, 60, 268, 176],
        [[203, 105], [245, 104], [223, 130], [206, 147], [241, 146]],
    ),
    Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg": (
        [180, 115, 352, 332],
        [[225, 195], [303, 190], [268, 238], [233, 272], [305, 268]],
    ),
}


SHIPPED = [name for name in template_names() if shipped_weights(template_path(name)) is not None]
DETECTORS = [name for name in SHIPPED if name.startswith("face-detection")]


def each(names: list[str]) -> list[Any]:
    """A process of its own for each template, as far as there are cores."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(f"shipped {name}")) for name in names]


@pytest.fixture(scope="module")
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ExportReport:
    """All that `export` makes of what ships with a template."""
    return export_model(
        weights=None,
        template=request.param,
        folder=tmp_path_factory.mktemp("shipped"),
        precisions=get_args(ExportPrecision),
        with_nms=request.param in DETECTORS,
    )


@pytest.mark.parametrize("exported", each(SHIPPED), indirect=True)
def test_every_file_of_it_passes(exported: ExportReport) -> None:
    made = [row for row in exported.rows if row.status != "skipped"]
    assert {row.format for row in made} >= {"openvino"}
    assert [(row.format, row.precision, row.reason) for row in made if row.status != "passed"] == []


@pytest.mark.parametrize("exported", each(DETECTORS), indirect=True)
@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.stem)
def test_the_one_face_is_found(exported: ExportReport, photo: Path) -> None:
    box, points = (np.array(values, np.float32) for values in PHOTOS[photo])
    files = {file.name: file for file in exported.files}
    faces = pocketface.load(files.get("model.xml") or files["model_int8.xml"]).predict(photo)
    assert len(faces) == 1, faces.scores
    found = faces.boxes[0]
    inner = (np.minimum(found[2:], box[2:]) - np.maximum(found[:2], box[:2])).clip(0).prod()
    union = (found[2:] - found[:2]).prod() + (box[2:] - box[:2]).prod() - inner
    assert inner / union > 0.8
    assert faces.landmarks is not None
    off = np.linalg.norm(faces.landmarks[0] - points, axis=1) / (box[2] - box[0])
    assert off.max() < 0.1, dict(zip(LANDMARK_NAMES, off, strict=True))
