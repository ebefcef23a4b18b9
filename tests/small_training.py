"""A training that takes a second: ten drawn photos, a small network, our own line's recipe."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from pocketface.model_templates.catalogue import template_path
from pocketface.model_templates.strict_yaml import read_yaml
from pocketface.tasks.measuring import Labels
from pocketface.tasks.templates import open_template
from pocketface.training import fit as fit_file
from pocketface.training.request import FitRequest

SMALL = Path(__file__).with_name("tiny_template.yaml")
"""Whose network it is."""

Content = dict[str, Any]
"""Of a template.yaml."""


def write_template(path: Path, *, network: Path = SMALL, size: int = 64) -> Path:
    """face-detection-n's recipe for another network, with batches of 4 small samples."""
    content, other = read_yaml(template_path("face-detection-n")), read_yaml(network)
    content |= {"name": "tiny", "initial_weights": None, "metrics": []}
    content |= {key: other[key] for key in ("architecture", "input")}
    content["architecture"]["head"].setdefault("anchor_scale", 3.0)
    content["hyper_parameters"]["basic"] |= {"batch_size": 4, "epochs": 2}
    content["hyper_parameters"]["augmentation"]["size"] = size
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def with_template(settings: FitRequest, change: Callable[[Content], object]) -> FitRequest:
    """The same training after a change of its template.yaml."""
    path = settings.template.path
    content = read_yaml(path)
    change(content)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return replace(settings, template=open_template(path))


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """Ten photos of 160 x 120 with one or two pale discs each, as COCO."""
    root = tmp_path_factory.mktemp("drawn")
    (root / "train").mkdir()
    generator = np.random.default_rng(0)
    images: list[Content] = []
    annotations: list[Content] = []
    for number in range(1, 11):
        photo = generator.integers(0, 90, (120, 160, 3), dtype=np.uint8)
        for x in (40, 115)[: 1 + number % 2]:
            radius = int(generator.integers(12, 26))
            cv2.circle(photo, (x, 60), radius, (190, 210, 240), -1)
            box = [x - radius, 60 - radius, 2 * radius, 2 * radius]
            annotations.append(
                {"id": len(annotations), "image_id": number, "category_id": 1, "bbox": box}
            )
        name = f"train/image_{number:06}.jpg"
        assert cv2.imwrite(str(root / name), photo)
        images.append({"id": number, "file_name": name, "width": 160, "height": 120})
    categories = [{"id": 1, "name": "face"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    labels = root / "faces.json"
    labels.write_text(json.dumps(content), encoding="utf-8")
    return Labels([labels], [root])


@pytest.fixture(scope="session")
def airport(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """Ten real photos, shrunken to a third of the size that they are labelled in."""
    root = tmp_path_factory.mktemp("airport")
    (root / "train").mkdir()
    labels = shutil.copy(shared / "airport" / "annotation_faces_train.json", root / "faces.json")
    for path in sorted((shared / "airport" / "train").iterdir()):
        photo = cv2.imread(str(path))
        assert photo is not None
        small = cv2.resize(photo, (640, 360), interpolation=cv2.INTER_AREA)
        assert cv2.imwrite(str(root / "train" / path.name), small)
    return Labels([labels], [root])


def _no_curves(output: Path) -> Path:
    (output / "curves.png").touch()
    return output / "curves.png"


@pytest.fixture
def settings(drawn_photos: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FitRequest:
    """A training on the drawn photos, without a GPU or processes of its own.

    Its curves.png is empty: to draw it takes longer than all else.
    """
    monkeypatch.setattr(fit_file, "draw_curves", _no_curves)
    return _settings(drawn_photos, tmp_path)


def _settings(photos: Labels, folder: Path) -> FitRequest:
    return FitRequest(
        template=open_template(write_template(folder / "template.yaml")),
        train=photos,
        output=folder / "out",
        workers=0,
        gpu_num=0,
        progress=False,
    )


@pytest.fixture(scope="session")
def _begun_once(drawn_photos: Labels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_file, "draw_curves", _no_curves)
        request = _settings(drawn_photos, tmp_path_factory.mktemp("begun"))
        return fit_file.fit(replace(request, epochs=1)).latest.parent


@pytest.fixture
def begun(settings: FitRequest, _begun_once: Path) -> Path:
    """latest.pth of `settings` after one epoch, in its folder."""
    shutil.copytree(_begun_once, settings.output)
    return settings.output / "latest.pth"
