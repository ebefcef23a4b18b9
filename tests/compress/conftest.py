"""Labelled faces to calibrate and measure on, and what there is to be compressed."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import skimage
from torch import nn

from pocketface.data.labelled_faces import write_labelled_faces
from pocketface.model_templates import template_path
from pocketface.model_templates.schema import load_template
from pocketface.models.network import make_network

# Where face-detection-n finds the landmarks.
FACES = {
    "glass": (
        Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
        [[225.4, 195.2], [304.7, 191.7], [269.9, 238.7], [235.4, 273.9], [306.4, 270.5]],
    ),
    "no_glass": (
        Path(skimage.__file__).parent / "data" / "astronaut.png",
        [[204.5, 102.0], [247.7, 102.4], [226.1, 127.5], [208.5, 143.4], [242.6, 143.6]],
    ),
}


@pytest.fixture(scope="session")
def convolutions() -> int:
    """Of face-detection-n."""
    network = make_network(load_template(template_path("face-detection-n")).architecture)
    return sum(isinstance(layer, nn.Conv2d) for layer in network.modules())


@pytest.fixture(scope="session")
def lists(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """A list of forty faces, and the folder of their photos: both photos in many lights."""
    folder = tmp_path_factory.mktemp("faces")
    random = np.random.default_rng(0)
    rows = []
    for label, (photo, landmarks) in FACES.items():
        image = cv2.imread(str(photo))
        assert image is not None
        for index in range(20):
            shade = random.uniform(0.5, 1.2) * image + random.uniform(-20, 20)
            name = f"{label}{index}.png"
            assert cv2.imwrite(str(folder / name), shade.clip(0, 255).astype(np.uint8))
            rows.append((name, label, np.array(landmarks, np.float32)))
    path = folder / "faces.csv"
    write_labelled_faces(path, rows)
    return [path], [folder]
