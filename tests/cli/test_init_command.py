from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from pocketface.data.pictures import public_domain_photos
from pocketface.errors import UserError
from pocketface.model_templates.catalogue import template_path
from pocketface.models.weights import read_weights
from pocketface.tasks.templates import open_template

Run = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("place")


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_work_directory_without_weights(run: Run) -> None:
    result = run("init", "face-detection-0202", "work")
    assert result.code == 0
    assert result.err == ""
    names = ["compress.py", "eval.py", "export.py", "template.yaml", "train.py", "visualize.py"]
    assert sorted(path.name for path in Path("work").iterdir()) == names
    assert open_template(Path("work/template.yaml")).spec.name == "face-detection-0202"
    assert "python train.py" in result.out
    assert "export.py --save-model-to" not in result.out


def test_what_comes_next_can_be_pasted(run: Run) -> None:
    assert "  cd 'my work'\n" in run("init", "face-detection-0202", "my work").out


def test_into_the_folder_one_is_in(run: Run) -> None:
    Path("here").mkdir()
    os.chdir("here")
    result = run("init", "face-detection-0202", ".")
    assert result.code == 0
    assert "  cd " not in result.out
    assert Path("template.yaml").is_file()


@pytest.mark.parametrize("template", ["face-detection-n", "glasses-cnn"])
def test_without_torch_the_weights_are_as_they_ship(
    run: Run, monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delenv("DISPLAY", raising=False)
    Path("work").mkdir()
    Path("work/snapshot.pth").write_bytes(b"of another template")
    result = run("init", template, "work", "--force")
    assert (result.code, result.err) == (0, "")
    assert "  pip install 'pocketface[train]'\n" in result.out
    shipped = template_path(template).with_name("weights.safetensors")
    assert Path("work/weights.safetensors").read_bytes() == shipped.read_bytes()
    assert not Path("work/snapshot.pth").exists()
    ready = re.search(r"python visualize.py --load-weights (\S+) --video photo.jpg", result.out)
    assert (ready is not None) == (template == "face-detection-n")
    if ready is not None:
        look = (
            "visualize",
            "--template",
            "work/template.yaml",
            "--video",
            "photo.jpg",
            "--no-show",
        )
        named = run(*look, "--load-weights", f"work/{ready[1]}")
        assert named.code == 0
        assert run(*look) == named  # the file beside the template is found by itself


@pytest.mark.parametrize(
    ("template", "file"),
    [("glasses-n", "model.bin"), ("glasses-n-int8", "model_int8.bin")],
)
def test_the_file_that_comes_next_is_the_one_that_export_writes(
    run: Run, monkeypatch: pytest.MonkeyPatch, template: str, file: str
) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    monkeypatch.delenv("DISPLAY", raising=False)
    result = run("init", template, "work")
    *_, export, visualize = result.out.splitlines()
    assert export == "  python export.py --save-model-to export"
    assert visualize.startswith(f"  python visualize.py --load-weights export/{file} --video ")
    result = run("export", "--template", "work/template.yaml", "--save-model-to", "export",
                 "--formats", "openvino", "--no-verify")  # fmt: skip
    assert Path("export", file).is_file()


def test_the_scripts_are_ten_lines_and_bring_their_template(run: Run) -> None:
    run("init", "face-detection-0202", "work")
    for script in Path("work").glob("*.py"):
        lines = [line for line in script.read_text().splitlines() if line.strip()]
        assert len(lines) <= 10
    # From another folder than the work directory.
    done = subprocess.run(
        [sys.executable, "work/export.py", "--save-model-to", "out"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "template face-detection-0202 ships no weights" in done.stderr
    assert not Path("out").exists()


@pytest.fixture
def shipping(place: Path) -> Path:
    """A template that ships weights, in a folder of its own."""
    from pocketface.files import sha256_file

    folder = place / "catalogue"
    folder.mkdir()
    weights = folder / "tiny.safetensors"
    weights.write_bytes((place / "tiny.safetensors").read_bytes())
    entry = (
        f"initial_weights: {{file: tiny.safetensors, sha256: {sha256_file(weights)}, "
        f"size: {weights.stat().st_size}}}"
    )
    text = (place / "tiny.yaml").read_text().replace("initial_weights: null", entry)
    (folder / "template.yaml").write_text(text)
    return folder / "template.yaml"


def test_a_work_directory_with_weights(run: Run, shipping: Path) -> None:
    result = run("init", shipping, "work")
    assert result.code == 0
    assert "python export.py --save-model-to export" in result.out
    snapshot = read_weights(Path("work/snapshot.pth"))
    shipped = read_weights(shipping.with_name("tiny.safetensors"))
    assert (snapshot.epochs, snapshot.seed) == (shipped.epochs, shipped.seed) == (3, 0)
    assert snapshot.state_dict.keys() == shipped.state_dict.keys()
    for name, tensor in shipped.state_dict.items():
        assert tensor.equal(snapshot.state_dict[name])


def test_the_snapshot_is_what_the_scripts_work_with(run: Run, shipping: Path) -> None:
    run("init", shipping, "work")
    result = run(
        "export", "--template", "work/template.yaml", "--save-model-to", "work/export",
        "--formats", "openvino",
    )  # fmt: skip
    assert result.code == 0
    assert Path("work/export/model.bin").is_file()


def test_shipped_weights_are_the_default_without_a_snapshot(run: Run, shipping: Path) -> None:
    result = run("export", "--template", shipping, "--save-model-to", "out", "--formats", "onnx")
    assert result.code == 0
    assert Path("out/model.onnx").is_file()


def test_damaged_shipped_weights_are_refused(run: Run, shipping: Path) -> None:
    weights = shipping.with_name("tiny.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    result = run("init", shipping, "work")
    assert result.code == 2
    assert "SHA-256" in result.err
    assert not Path("work").exists()


def test_a_segmenters_work_directory_has_masks_of_a_folder_of_photos(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script `predict.py` of other projects: a mask for each photo in test/, with its name."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delenv("DISPLAY", raising=False)
    result = run("init", "face-segmentation-n", "work")
    assert result.code == 0
    assert "  python segment.py photos/ --load-weights model_fp16.onnx " in result.out
    photo = cv2.imread(str(public_domain_photos()[0][0]))
    Path("test/more").mkdir(parents=True)
    for name in ("test/one.jpg", "test/more/two.png"):
        cv2.imwrite(name, photo)
    monkeypatch.setattr(sys, "argv", ["segment.py", "test"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path("work/segment.py", run_name="__main__")
    assert ended.value.code == 0
    for name in ("masks/one.png", "masks/more/two.png"):
        mask = cv2.imread(name, cv2.IMREAD_UNCHANGED)
        assert mask.shape == photo.shape[:2]
        assert 0.02 < (mask == 255).mean() < 0.5


def test_files_that_are_there_stay(run: Run) -> None:
    run("init", "face-detection-0202", "work")
    Path("work/train.py").write_text("mine")
    before = _tree(Path("work"))
    result = run("init", "face-detection-0204", "work")
    assert result.code == 2
    assert "work/template.yaml: is there already" in result.err
    assert "--force" in result.err
    assert _tree(Path("work")) == before


def test_a_snapshot_that_is_there_stays_too(run: Run) -> None:
    Path("work").mkdir()
    Path("work/snapshot.pth").write_bytes(b"mine")
    result = run("init", "face-detection-0202", "work")
    assert result.code == 2
    assert _tree(Path("work")) == {"snapshot.pth": b"mine"}


def test_force_overwrites_and_leaves_the_rest(run: Run) -> None:
    run("init", "face-detection-0202", "work")
    Path("work/notes.txt").write_text("mine")
    Path("work/snapshot.pth").write_bytes(b"of another template")
    assert run("init", "face-detection-0204", "work", "--force").code == 0
    assert not Path("work/snapshot.pth").exists()
    assert open_template(Path("work/template.yaml")).spec.name == "face-detection-0204"
    assert Path("work/notes.txt").read_text() == "mine"


def test_nothing_half_written_when_it_breaks(
    run: Run, shipping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise UserError("the disk is full")

    monkeypatch.setattr("pocketface.models.weights.write_weights", break_down)
    assert run("init", shipping, "work").code == 2
    assert not Path("work").exists()
    Path("work").mkdir()
    Path("work/notes.txt").write_text("mine")
    assert run("init", shipping, "work").code == 2
    assert _tree(Path("work")) == {"notes.txt": b"mine"}


def test_a_template_changed_in_its_architecture_is_noticed(run: Run, shipping: Path) -> None:
    run("init", shipping, "work")
    template = Path("work/template.yaml")
    text = template.read_text()
    template.write_text(
        text.replace("    channels: 16\n    tower: 1", "    channels: 24\n    tower: 1")
    )
    assert template.read_text() != text
    for command in (
        ("export", "--save-model-to", "out"),
        ("visualize", "--video", "photo.jpg", "--no-show"),
    ):
        result = run(*command, "--template", template)
        assert result.code == 2
        assert "snapshot.pth: made for the architecture of tiny, which differs" in result.err
    assert not Path("out").exists()
