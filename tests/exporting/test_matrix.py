"""Every template in every format and precision: exported, loaded, run, and compared.

The weights that ship, where any do; else small inputs and random weights whose activations are
those of a trained network: batch norms have seen pictures.

`python tools/formats.py > docs/reports/formats.md` exports all templates whole, with the weights
that ship where any do, and writes down what came of it.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
import torch
from matplotlib import cbook

import pocketface
from pocketface.data.pictures import check_photos
from pocketface.errors import ModelFileError, UserError
from pocketface.exporting import (
    EXPORTERS,
    ExportedFile,
    ExportPrecision,
    ExportReport,
    ExportRequest,
    export_model,
)
from pocketface.exporting.formats import WITH_NMS
from pocketface.model_templates import template_names, template_path
from pocketface.model_templates.catalogue import shipped_weights
from pocketface.model_templates.schema import Template
from pocketface.models.network import make_network
from pocketface.models.weights import read_weights, write_weights
from pocketface.runtimes import DEFAULT_RUNTIMES
from pocketface.runtimes.seal import model_files
from pocketface.tasks.templates import open_template, parse_template

SIDE = 64


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Two of the photos that an export compares files on; `make test-all` takes them all: None."""
    if os.environ.get("POCKETFACE_TEST_ALL") == "1":
        return None
    folder = tmp_path_factory.mktemp("portraits")
    for index, photo in enumerate(check_photos()[:2]):
        assert cv2.imwrite(str(folder / f"{index}.png"), photo.pixels)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four soft pictures, as files: photos are compared elsewhere."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(1)
    for index in range(4):
        small = generator.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        picture = cv2.resize(small, (120, 90), interpolation=cv2.INTER_CUBIC)
        assert cv2.imwrite(str(folder / f"{index}.png"), picture)
    return folder


def text_of(name: str, *, side: int | None = None) -> str:
    """A template's text with nothing measured, and perhaps with another input."""
    text = template_path(name).read_text(encoding="utf-8")
    # Random scores are about a half; of those above 0.7 nothing would be compared.
    text = text.replace("score_threshold: 0.7", "score_threshold: 0.5")
    text = re.sub(r"initial_weights:\n(  .*\n)+", "initial_weights: null\n", text)
    text = re.sub(r"metrics:\n(  .*\n)+", "metrics: []\n", text)
    if side is not None:
        size = rf"\g<1>{side}\g<2>{side}"
        text, found = re.subn(r"(\ninput:.*\n  height: )\d+(\n  width: )\d+", size, text)
        assert found == 1
    return text


def is_of_one_size(template: Template) -> bool:
    """Whether the network itself is made for the size of its input."""
    return getattr(template.architecture.head, "kernel", None) is not None


def write_calibrated(text: str, folder: Path) -> Path:
    torch.manual_seed(0)
    template = parse_template(text, source="test")
    network = make_network(template.architecture)
    side = template.input.height if is_of_one_size(template) else SIDE
    generator = np.random.default_rng(0)
    small = generator.uniform(0, 255, (4, 6, 6, 3)).astype(np.float32)
    large = np.stack(
        [cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in small]
    )
    pictures = torch.from_numpy(large.clip(0, 255).transpose(0, 3, 1, 2).copy())
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of all that it saw
            # Frozen ones too: without statistics of their own, maps of ResNets have values of
            # hundreds, and FP32 itself is 4e-4 of a score away from FP64.
            module.training = True
    for parameter_name, parameter in network.named_parameters():
        if parameter_name.endswith("classes.bias"):
            torch.nn.init.zeros_(parameter)  # else all scores are 0.01
    with torch.no_grad():
        network(pictures)
    path = folder / "weights.safetensors"
    write_weights(path, template_text=text, state_dict=network.state_dict(), epochs=0, seed=0)
    return path


_HALF = (320, 320)
_LARGE = ("face-detection-n", "face-detection-s", "face-detection-m")
"""Verified with inputs of this size: Core ML's interpreter takes minutes for whole ones."""

_ALIKE = (
    "face-detection-0202",
    "face-detection-0204",
    "face-detection-s",
    "face-detection-m",
    "face-recognition-s",
    "face-segmentation-n-4",
    "siamese-n",
)
"""Of the same layers as other templates, in other numbers and sizes."""

_SERVERS = (
    "deeplabv3-resnet50",
    "faster-rcnn-m",
    "faster-rcnn-r50-fpn",
    "faster-rcnn-r101-fpn",
    "retinanet-r101-fpn",
    "unet-resnet50",
)
"""Networks of 130 MB and more, and others whose layers test_masks.py and test_anchor_heads.py have
in small ones."""

_SLOW = {
    "coreml": ("glasses-n",),
    "litert": ("glasses-n",),
    "tensorflow": ("glasses-n",),
}
"""Formats whose converters take from ten seconds to a minute for a network, and the templates that
they are always given, beside the tiny network of the other tests: a classifier."""

_COVERED = {
    "onnx": ("face-detection-0205", "face-detection-0206"),
    "openvino": ("face-detection-0206",),
    "torchscript": ("face-detection-0200", "face-detection-0205", "face-detection-0206"),
}
"""Detectors each of whose operations is in another one's export to the format, or in the tiny
network's."""


def is_full(name: str, to: str) -> bool:
    """Whether only `make test-all` exports this template to this format."""
    if name in _SERVERS:
        return True
    if name in _ALIKE or name in _COVERED.get(to, ()):
        return True
    return name not in _SLOW.get(to, (name,))


@dataclass(frozen=True)
class Case:
    """One export; `trained`: of the weights that ship with the template."""

    weights: Path
    trained: bool
    report: ExportReport


def cases() -> list[Any]:
    """Template and format."""
    return [
        pytest.param(
            (name, to),
            marks=[pytest.mark.full] * is_full(name, to),
            id=f"{name}-{to}",
        )
        for name in template_names()
        for to in EXPORTERS
        if to == "openvino" or not name.endswith("-int8")  # no other holds what it learned
        if to not in open_template(name).spec.architecture.impossible_formats()
    ]


@pytest.fixture(scope="module")
def made() -> dict[str, Path]:
    """Weights of templates that ship none, once for all formats."""
    return {}


@pytest.fixture(scope="module", params=cases())
def case(
    request: pytest.FixtureRequest,
    made: dict[str, Path],
    photos: Path,
    portraits: Path | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Case:
    name, to = request.param
    for package in EXPORTERS[to].packages:
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")
    weights = shipped = shipped_weights(open_template(name))
    if weights is None:
        if name not in made:
            # Every kind of layer, but fewer and narrower ones: converters take minutes for all.
            side = None if is_of_one_size(open_template(name).spec) else SIDE
            text = re.sub("depth: (101|152)", "depth: 50", text_of(name, side=side))
            text = text.replace("tower: 4", "tower: 1")
            text = text.replace("channels: 256", "channels: 64").replace(": 128\n", ": 32\n")
            text = re.sub(r"(p\w+_nms_topk): \d+", r"\1: 100", text)
            made[name] = write_calibrated(text, tmp_path_factory.mktemp(name))
        weights = made[name]
    read = read_weights(weights)
    request = ExportRequest(
        weights=read if shipped is None else read.described_by(open_template(name)),
        folder=tmp_path_factory.mktemp(f"{name}-{to}"),
        formats=[to],
        precisions=_precisions(name, to),
        with_nms=read.template.problem == "face-detection" and to in WITH_NMS,
        input_size=_HALF if name in _LARGE else None,
        photos=photos if shipped is None else portraits,
    )
    return Case(weights, shipped is not None, export_model(request))


def _precisions(name: str, to: str) -> list[Any]:
    if name == "face-detection-0206":  # 100 MB in FP32, and rounded as all others
        return ["fp32"]
    return [one for one in EXPORTERS[to].precisions if one in get_args(ExportPrecision)]


def test_parity_and_predictions(case: Case) -> None:
    # One test: another process would export again.
    _check_parity(case)
    _check_predictions(case.report.paths)


def _check_parity(case: Case) -> None:
    report = case.report
    formats = {row.format for row in report.files}
    precisions = {row.precision for row in report.files}
    asked = {one for to in formats for one in _precisions(report.name, to)}
    assert precisions == ({"int8"} if report.name.endswith("-int8") else asked)
    sizes: dict[str, int] = {}
    for row in report.files:
        found = row.certificate
        assert found is not None, row.reason
        assert found.agreement.asked > 0
        sizes[row.precision] = sizes.get(row.precision, 0) + row.size
        assert row.size <= _most_bytes(report.name, row)
        if case.trained or row.precision == "fp32":
            assert (row.status, row.reason) == ("passed", None)
            names = ("score", "probability", "1 - cosine")
            (unsure,) = (found.differences[name] for name in names if name in found.differences)
            assert unsure is not None
            assert unsure < (2e-5 if case.trained else 5e-5) or row.precision != "fp32"
        elif found.tensors:
            # Random networks exaggerate rounding, so the limits are those of trained ones. A
            # wrong layer would show all the same.
            assert {
                name for name, one in found.tensors.items() if (one.cosine or 0) < 0.99
            } == set()
    assert "fp16" not in sizes or sizes["fp16"] < 0.7 * sizes["fp32"]


def _most_bytes(name: str, row: ExportedFile) -> float:
    """What a file may weigh; a SavedModel's graph alone has 180 KB."""
    if not name.startswith("glasses-"):
        return float("inf")
    assert row.file is not None
    small = name == "glasses-n" and row.file.suffix != ".savedmodel"
    return 400_000 if small else 3_000_000


def _check_predictions(files: Iterable[Path]) -> None:
    photo = cv2.imread(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    for file in files:
        model = pocketface.load(file)
        if isinstance(model, pocketface.FaceDetector):
            one, again = model.predict_batch([photo, photo])
            assert len(one) > 0
            np.testing.assert_array_equal(one.boxes, again.boxes)
        elif isinstance(model, pocketface.FaceSegmenter):
            points = np.array(model.contract.input.points, np.float32) + 20
            one, again = (model.predict(photo, points[None])[0] for _ in range(2))
            assert one.shape == photo.shape[:2]
            np.testing.assert_array_equal(one.probabilities, again.probabilities)
        elif isinstance(model, pocketface.FaceRecognizer):
            points = np.array(model.contract.input.points, np.float32) + 20
            face, same, other = model.predict(photo, np.stack([points, points, points + 40]))
            assert face.similarity(same) > 1 - 1e-5 > face.similarity(other)
        else:
            points = np.array(model.contract.input.points, np.float32) + 20
            first, second = model.predict(photo, np.stack([points, points]))
            assert first.label in model.rules.labels
            np.testing.assert_allclose(first.scores, second.scores, atol=1e-6)
        with pytest.raises(UserError, match="device 'quantum'"):
            pocketface.load(file, device="quantum")


FLIPS = 200


@pytest.mark.parametrize("name", EXPORTERS)
def test_one_flipped_byte_is_refused(
    name: str, tmp_path: Path, converted: Callable[[str], Path]
) -> None:
    """Anywhere in any part of a file; and the whole one is not."""
    files = [
        path
        for path in converted(name).iterdir()
        if path.suffix in DEFAULT_RUNTIMES and "fp16" not in path.name
    ]
    assert files
    generator = random.Random(0)
    for file in files:
        pocketface.load(file)
        # Alone, without anything else of its folder.
        alone = tmp_path / "alone" / file.name
        alone.parent.mkdir(exist_ok=True)
        parts = [file] if file.is_dir() else model_files(file)
        for part in parts:
            copy: Any = shutil.copytree if part.is_dir() else shutil.copy
            copy(part, alone.parent / part.name)
        targets = model_files(alone)
        sizes = [target.stat().st_size for target in targets]
        for index in range(FLIPS):
            # All parts alike, and within them all places.
            target = targets[index % len(targets)]
            content = target.read_bytes()
            place = generator.randrange(sizes[index % len(targets)])
            damaged = bytearray(content)
            damaged[place] ^= 1 << generator.randrange(8)
            target.write_bytes(damaged)
            with pytest.raises(ModelFileError):
                pocketface.load(alone)
            target.write_bytes(content)
        pocketface.load(alone)
        shutil.rmtree(alone.parent)
