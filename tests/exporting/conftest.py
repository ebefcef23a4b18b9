"""Networks to export: the tiny one of `tiny_template.yaml`, with each kind of head."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import pytest

from pocketface.data.pictures import check_photos
from pocketface.exporting import ExportReport, ExportRequest, export_model
from pocketface.exporting.formats import Order
from pocketface.runtimes import DEFAULT_RUNTIMES
from pocketface.tasks.weights import open_weights

from ..tiny_network import FCOS, SSD, TEMPLATE, write_tiny_weights

MakeWeights = Callable[..., Path]
FORMATS = ["openvino", "onnx"]
"""Those that the tiny template names."""

FILES = ["model.bin", "model.onnx", "model.onnx.parity.json", "model.xml", "model.xml.parity.json"]


PHOTOS: list[Path] = []
"""The folder of `few_photos`."""


@pytest.fixture(scope="session", autouse=True)
def few_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `run` compares files on; twenty photos, as users have, take a second each time."""
    folder = tmp_path_factory.mktemp("few_photos")
    for index, photo in enumerate(check_photos()[:3]):
        small = cv2.resize(photo.pixels, (160, 160), interpolation=cv2.INTER_AREA)
        assert cv2.imwrite(str(folder / f"{index}.png"), small)
    PHOTOS[:] = [folder]
    return folder


def run(
    weights: Path | None, folder: Path, *, template: str | Path | None = None, **options: Any
) -> ExportReport:
    read = open_weights(None if template is None else str(template), weights)
    settings = {"formats": FORMATS, "photos": PHOTOS[0], **options}
    return export_model(ExportRequest(weights=read, folder=folder, **settings))


def no_conversion(patch: pytest.MonkeyPatch, module: ModuleType, ready: Path) -> None:
    """Files of a folder, without NMS inside, instead of those that an exporter would write anew.

    For tests of what comes after a conversion, which takes seconds.
    """

    def convert(order: Order) -> list[Path]:
        paths = []
        for file in sorted(ready.glob(f"{order.stem}.*")):
            if file.suffix in DEFAULT_RUNTIMES:
                paths.append(order.folder / file.name)
                copy: Any = shutil.copytree if file.is_dir() else shutil.copy
                copy(file, paths[-1])
        return paths

    patch.setattr(module, "convert", convert)


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """Template texts by kind of head."""
    return {"dense": TEMPLATE, "ssd": SSD, "fcos": FCOS}


@pytest.fixture(scope="session")
def make_weights() -> MakeWeights:
    """Writes weights.safetensors of a template's text into a folder."""
    return write_tiny_weights


@pytest.fixture(scope="session")
def weights(tiny_weights: Path) -> Path:
    """Of the dense tiny network."""
    return tiny_weights
