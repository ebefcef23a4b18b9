"""The ready files are of the weights that ship, small, verified, and answer as they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import skimage

import pocketface
from pocketface.data.images import read_image
from pocketface.exporting.certificate import read_certificate
from pocketface.exporting.verify import verify_files
from pocketface.files import sha256_file
from pocketface.model_templates.catalogue import (
    REPORT_DETECTOR,
    SECOND_DETECTOR,
    ready_file,
    template_names,
)
from pocketface.tasks.templates import open_template

LARGEST = {SECOND_DETECTOR: 3_000_000}
MOST = 1_000_000
"""Bytes of any other; see tools/ready_files.py, which makes the files anew."""

PHOTOS = (
    Path(skimage.__file__).parent / "data" / "astronaut.png",
    Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
)

LABELS = {"astronaut": "no_glass", "grace_hopper": "glass"}


def test_the_templates_that_are_used_by_default_have_one() -> None:
    small = {
        name
        for name in template_names()
        if name.endswith("-n") and open_template(name).spec.initial_weights
    }
    assert {name for name in template_names() if ready_file(name)} == {
        *small,
        REPORT_DETECTOR,
        SECOND_DETECTOR,
    }
    assert small >= {"face-detection-n", "glasses-n"}


@pytest.mark.parametrize(
    "name", ["face-detection-n", "glasses-n", SECOND_DETECTOR, REPORT_DETECTOR]
)
def test_it_is_of_the_weights_that_ship(name: str) -> None:
    template = open_template(name).spec
    file, ships = ready_file(name), template.initial_weights
    assert file is not None
    assert ships is not None
    assert file.stat().st_size <= LARGEST.get(name, MOST)
    contract = pocketface.load(file).contract
    assert (contract.name, contract.precision) == (name, "fp16")
    assert contract.provenance.checkpoint_sha256 == ships.sha256
    assert contract.metrics == tuple(template.metrics)
    assert contract.parity is not None
    assert contract.parity.status == "passed"
    certificate = read_certificate(file)
    assert certificate is not None
    assert certificate.checkpoint_sha256 == ships.sha256
    assert certificate.files == {file.name: sha256_file(file)}


def test_they_are_verified_by_their_names() -> None:
    found = verify_files([Path("face-detection-n"), Path("glasses-n")])
    assert [(one.file, one.status) for one in found] == [
        (ready_file("face-detection-n"), "passed"),
        (ready_file("glasses-n"), "passed"),
    ]
    assert all(one.certificate and one.certificate.against == "checkpoint" for one in found)
    (same,) = verify_files([Path("glasses-n")], weights=Path("glasses-n"))
    assert same.status == "passed"


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.stem)
def test_the_same_faces_and_labels_as_from_the_weights(photo: Path) -> None:
    image = read_image(photo)
    (find, label), (find_so, label_so) = opened(None), opened("torch")
    found, faces = find.predict(image), find_so.predict(image)
    assert len(found) == len(faces) == 1
    np.testing.assert_allclose(found.boxes, faces.boxes, atol=1)
    np.testing.assert_allclose(found.scores, faces.scores, atol=0.005)
    # Of the astronaut two cells give the same score to 6 digits, so that either may win.
    width = faces.boxes[0, 2] - faces.boxes[0, 0]
    np.testing.assert_allclose(found.landmarks, faces.landmarks, atol=0.03 * width)
    (said,), (same,), (expected,) = (
        label.predict(image, found.landmarks),
        label.predict(image, faces.landmarks),
        label_so.predict(image, faces.landmarks),
    )
    assert said.label == same.label == expected.label == LABELS[photo.stem]
    assert same.score == pytest.approx(expected.score, abs=0.005)


def opened(runtime: str | None) -> list[pocketface.Model[Any]]:
    """Detector and classifier of these names."""
    models = [pocketface.load(name, runtime=runtime) for name in ("face-detection-n", "glasses-n")]
    assert all(model.session.runtime == (runtime or "onnxruntime") for model in models)
    return models
