"""Commands run in this process, and files for them to work on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from ..made_once import made_once

# FFmpeg keeps the loudness of its first use in a process, which is a test's own.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

TINY_TEMPLATE = Path(__file__).parents[1] / "tiny_template.yaml"


@dataclass(frozen=True)
class Result:
    """What a command left: exit code and output."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs `pocketface ARGUMENTS`; what libraries write past Python is caught too."""
    from pocketface.cli import main

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of `make_material`; to be read only."""
    return made_once(tmp_path_factory, "material", make_material)


@pytest.fixture(scope="session")
def onnx_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Shipped models as ONNX files, which open without PyTorch: "classifier", "detector", "nms".

    The last is the detector with NMS inside.
    """
    from pocketface.exporting import ExportRequest, export_model
    from pocketface.tasks.weights import open_weights

    folder = tmp_path_factory.mktemp("onnx")
    for template in ("glasses-n", "face-detection-n"):
        request = ExportRequest(
            weights=open_weights(template, None),
            folder=folder / template,
            formats=["onnx"],
            with_nms=template == "face-detection-n",
            verify=False,
        )
        export_model(request)
    return {
        "classifier": folder / "glasses-n" / "model.onnx",
        "detector": folder / "face-detection-n" / "model.onnx",
        "nms": folder / "face-detection-n" / "model_nms.onnx",
    }


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `made`, which is the current folder for the test."""
    folder = tmp_path / "place"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


def make_material(folder: Path) -> None:
    """Write tiny weights, their exported files, photos and a video, good and bad."""
    import torch

    from pocketface.cli import main
    from pocketface.models.network import Network
    from pocketface.models.weights import write_weights
    from pocketface.tasks.templates import parse_template

    text = TINY_TEMPLATE.read_text()
    (folder / "tiny.yaml").write_text(text)
    (folder / "wider-head.yaml").write_text(
        text.replace("    channels: 16\n    tower: 1", "    channels: 24\n    tower: 1")
    )
    (folder / "typo.yaml").write_text(text.replace("summary:", "sumary:"))
    torch.manual_seed(0)
    network = Network(parse_template(text, source="tiny").architecture)
    with torch.no_grad():
        # Never trained, it would give every cell the same score, and find nothing.
        for name, parameter in network.named_parameters():
            if "classes.weight" in name:
                parameter.mul_(2000)
    for name in ("tiny.pth", "tiny.safetensors"):
        write_weights(
            folder / name, template_text=text, state_dict=network.state_dict(), epochs=3, seed=0
        )
    model = folder / "model"
    export = ["export", "--load-weights", str(folder / "tiny.pth"), "--formats", "openvino,onnx"]
    assert main([*export, "--save-model-to", str(model)]) == 0
    _cut(folder / "tiny.pth", folder / "half.pth")
    _cut(model / "model.onnx", folder / "half.onnx")
    (folder / "lonely").mkdir()
    shutil.copy(model / "model.xml", folder / "lonely")
    _without_contract(model / "model.onnx", folder / "foreign.onnx")

    # Smooth noise: a photo for a decoder, and it compresses like one.
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    photo = cv2.resize(noise, (160, 120), interpolation=cv2.INTER_CUBIC)
    (folder / "photos" / "more").mkdir(parents=True)
    for name in ("photo.jpg", "photos/a.jpg", "photos/more/b.png"):
        assert cv2.imwrite(str(folder / name), photo)
    _cut(folder / "photo.jpg", folder / "half.jpg")
    shutil.copy(folder / "half.jpg", folder / "photos")
    (folder / "broken").mkdir()
    shutil.copy(folder / "half.jpg", folder / "broken")
    (folder / "empty").mkdir()
    for name in ("notes.txt", "text.jpg", "text.mp4", "text.json", "text.pth"):
        (folder / name).write_text("just a text\n" * 100)
    writer = cv2.VideoWriter(
        str(folder / "video.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (160, 120)
    )
    for shift in range(12):
        writer.write(np.roll(photo, 4 * shift, axis=1))
    writer.release()


def _cut(source: Path, target: Path) -> None:
    content = source.read_bytes()
    target.write_bytes(content[: len(content) // 2])


def _without_contract(source: Path, target: Path) -> None:
    import onnx

    model = onnx.load(source)
    del model.metadata_props[:]
    onnx.save(model, target)
