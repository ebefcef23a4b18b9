"""Other people's checkpoints give the boxes that the public code gives with them."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pocketface.errors import ModelFileError
from pocketface.model_templates.schema import Template, TemplateFile
from pocketface.models.foreign import is_foreign
from pocketface.models.weights import build_network, read_weights
from pocketface.tasks.templates import open_template, parse_template
from pocketface.tasks.weights import open_model, open_weights
from pocketface.training.start import find_start

from .mmdet_files import save_ir, save_snapshot
from .mmdet_networks import Detector, detector

NAMES = ["0200", "0202", "0204", "0205", "0206", "0207"]
SIDE = 128
FCOS_SIDE = 256
"""Enough for its coarsest map to have several cells, as group normalisation wants."""


def small_template(name: str, folder: Path) -> TemplateFile:
    """The template at a small input, and -0206 with a third of its layers."""
    text = open_template(f"face-detection-{name}").text
    spec = open_template(f"face-detection-{name}").spec
    for side, value in (("height", spec.input.height), ("width", spec.input.width)):
        text = text.replace(f"  {side}: {value}\n", f"  {side}: {side_of(name)}\n")
    text = text.replace("depth: 152", "depth: 50").replace("initial_weights:\n", "")
    text = "\n".join(line for line in text.splitlines() if not _of_weights(line)) + "\n"
    text = text if "initial_weights: null" in text else text + "initial_weights: null\n"
    path = folder / "template.yaml"
    path.write_text(text, encoding="utf-8")
    return TemplateFile(path, text, parse_template(text, source=name))


def side_of(name: str) -> int:
    return FCOS_SIDE if name == "0205" else SIDE


def _of_weights(line: str) -> bool:
    return line.startswith(("  file: weights", "  sha256: ", "  size: "))


def theirs(name: str, template: Template) -> Detector:
    torch.manual_seed(5)
    head = template.architecture.head
    anchors = [level.model_dump() for level in head.anchors] if head.type == "ssd" else []
    return detector(f"face-detection-{name}", anchors, depth=50)


def answers(network: nn.Module, template: Template, images: Tensor) -> tuple[Tensor, Tensor]:
    """What their network finds in raw BGR images; scores as ours has them."""
    architecture = template.architecture
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (architecture.mean, architecture.std))
    with torch.no_grad():
        boxes, scores = network((images.flip(1) - mean) / std)
    return boxes, scores if architecture.head.type == "ssd" else scores.sqrt()


def assert_same(found: Any, expected: Any) -> None:
    boxes, scores = expected
    assert scores.max() > 0.4
    assert scores.min() < scores.max() - 0.2
    torch.testing.assert_close(found[0], boxes, rtol=1e-4, atol=0.01)
    torch.testing.assert_close(found[1], scores, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_snapshot_finds_what_the_public_code_finds(name: str, tmp_path: Path) -> None:
    template = small_template(name, tmp_path)
    network = theirs(name, template.spec)
    path = tmp_path / "snapshot.pth"
    save_snapshot(network, path, epoch=63, old=name != "0202")
    weights = read_weights(path, template=template)
    assert weights.epochs == 63
    images = torch.rand(2, 3, side_of(name), side_of(name)) * 255
    with torch.no_grad():
        found = build_network(weights)(images)
    assert_same(found, answers(network, template.spec, images))


@pytest.mark.parametrize(
    "name",
    [
        "0207",
        pytest.param("0200", marks=pytest.mark.full),
        pytest.param("0205", marks=pytest.mark.full),
        pytest.param("0206", marks=pytest.mark.full),
    ],
)
def test_an_openvino_file_gives_its_weights_back(name: str, tmp_path: Path) -> None:
    ov = pytest.importorskip("openvino")
    template = small_template(name, tmp_path)
    network = theirs(name, template.spec)
    images = torch.rand(1, 3, side_of(name), side_of(name)) * 255
    expected = answers(network, template.spec, images)
    path = tmp_path / "theirs.xml"
    architecture = template.spec.architecture
    save_ir(network, path, size=side_of(name), mean=architecture.mean, std=architecture.std)
    weights = open_weights(template.path, path.with_suffix(".bin"))
    with torch.no_grad():
        found = build_network(weights)(images)
    assert_same(found, expected)
    # The tensors are in the `.bin`; whoever has other ones has another checkpoint.
    content = path.read_bytes() + path.with_suffix(".bin").read_bytes()
    assert weights.sha256 == hashlib.sha256(content).hexdigest()
    # The file itself finds the same, so that the test is of a file that works.
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    its = [torch.from_numpy(one.copy()) for one in compiled(images.numpy()).to_tuple()]
    its[1] = its[1] if architecture.head.type == "ssd" else its[1].sqrt()
    assert_same(its, expected)


@pytest.fixture
def snapshot(tmp_path: Path) -> Callable[..., tuple[TemplateFile, Path]]:
    """Makes a small snapshot of -0207, whose state may be changed."""

    def make(change: Callable[[dict[str, Tensor]], object] = lambda _: None, **how: Any) -> Any:
        template = small_template("0207", tmp_path)
        network = theirs("0207", template.spec)
        path = tmp_path / "snapshot.pth"
        save_snapshot(network, path, **how)
        content = torch.load(path, weights_only=True)
        change(content["state_dict"])
        torch.save(content, path, _use_new_zipfile_serialization=how.get("old") is False)
        return template, path

    return make


def test_what_is_not_used_is_said(
    snapshot: Callable[..., tuple[TemplateFile, Path]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    template, path = snapshot()
    read_weights(path, template=template)
    (said,) = [record.getMessage() for record in caplog.records if "MMDetection" in record.message]
    assert "not used: bbox_head.loss_weights" in said


def test_what_does_not_fit_is_listed(snapshot: Callable[..., tuple[TemplateFile, Path]]) -> None:
    def change(state: dict[str, Tensor]) -> None:
        del state["backbone.features.stage2.unit3.dw_bn2.bias"]
        state["bbox_head.extra.weight"] = torch.zeros(1)

    template, path = snapshot(change)
    with pytest.raises(ModelFileError) as caught:
        read_weights(path, template=template)
    message = str(caught.value)
    assert "it lacks backbone.stages.1.2.branch.1.1.bias (1)" in message
    assert "not known: bbox_head.extra.weight (1)" in message
    assert "\n" not in message


def test_a_tensor_of_another_shape_is_refused(
    snapshot: Callable[..., tuple[TemplateFile, Path]],
) -> None:
    def change(state: dict[str, Tensor]) -> None:
        name = "bbox_head.reg_convs.0.3.weight"
        state[name] = state[name][:8]

    template, path = snapshot(change)
    with pytest.raises(ModelFileError, match=r"'head\.boxes\.0\.1\.weight' is .* \(8, 232, 1, 1\)"):
        read_weights(path, template=template)


def test_a_flipped_bit_of_a_tensor_is_refused(
    snapshot: Callable[..., tuple[TemplateFile, Path]],
) -> None:
    template, path = snapshot(
        lambda state: state.update({"marked": torch.full((64,), 5.0)}), old=False
    )
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((64,), 5.0).numpy().tobytes()) + 100] ^= 0x04
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="damaged"):
        read_weights(path, template=template)


def test_another_template_is_refused_in_one_line(
    snapshot: Callable[..., tuple[TemplateFile, Path]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, path = snapshot()
    other = small_template("0205", tmp_path)
    caplog.set_level(logging.INFO)
    with pytest.raises(
        ModelFileError, match="does not fit face-detection-0205: it lacks"
    ) as caught:
        read_weights(path, template=other)
    assert "\n" not in str(caught.value)
    assert "--template" in str(caught.value.hint)
    assert "-v names them all" in str(caught.value.hint)
    # Of many names the message has the first ones.
    assert "head.levels.0.boxes.weight" not in str(caught.value)
    lacking, unknown = (m for m in caplog.messages if "it lacks" in m or "not known" in m)
    assert "head.levels.0.boxes.weight" in lacking
    assert "bbox_head.cls_convs.0.3.weight" in unknown


def test_another_input_is_refused(snapshot: Callable[..., tuple[TemplateFile, Path]]) -> None:
    """As networks of -0200 and -0204 have the same tensors, but other anchors."""
    config = "dict(type='MultiScaleFlipAug', img_scale=(448, 448), flip=False)"
    template, path = snapshot(config=config)
    with pytest.raises(ModelFileError, match="its input is 448x448, that of the template 128x128"):
        read_weights(path, template=template)
    template, path = snapshot(config=config.replace("448", "128"))
    read_weights(path, template=template)


def test_that_no_input_is_named_is_said(
    snapshot: Callable[..., tuple[TemplateFile, Path]], caplog: pytest.LogCaptureFixture
) -> None:
    template, path = snapshot(config="")
    read_weights(path, template=template)
    assert "names no input: taken for the 128x128 of face-detection-0207" in caplog.text
    caplog.clear()
    template, path = snapshot(config="img_scale=(128, 128)")
    read_weights(path, template=template)
    assert "names no input" not in caplog.text


def test_without_a_template_it_is_refused(
    snapshot: Callable[..., tuple[TemplateFile, Path]],
) -> None:
    _, path = snapshot(old=False)
    with pytest.raises(ModelFileError, match="not written by pocketface") as caught:
        open_weights(None, path)
    assert "--template" in str(caught.value.hint)


def test_a_word_of_ours_in_a_text_of_theirs_does_not_make_it_ours(
    snapshot: Callable[..., tuple[TemplateFile, Path]],
) -> None:
    template, path = snapshot(config="work_dir = '/home/me/pocketface/runs'", old=False)
    assert read_weights(path, template=template).foreign is not None


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_file_of_ours_is_ours(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "ours.pth"
    torch.save({"state_dict": {}, "pocketface": {}}, path, pickle_protocol=protocol)
    assert not is_foreign(path)


@pytest.mark.parametrize(
    "meta",
    [
        {"epoch": True},
        {"epoch": 10**500},
        {"epoch": 0, "config": f"img_scale=({'9' * 5000}, 128)"},
    ],
)
def test_numbers_that_are_none_are_passed_over(
    snapshot: Callable[..., tuple[TemplateFile, Path]], meta: dict[str, Any]
) -> None:
    template, path = snapshot(old=False)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"meta": meta}, path)
    weights = read_weights(path, template=template)
    assert weights.epochs == 0
    assert weights.foreign is not None
    assert not weights.foreign.sizes


class _Evil:
    def __reduce__(self) -> Any:
        return print, ("run",)


@pytest.mark.parametrize("old", [True, False])
def test_objects_in_it_are_not_made(old: bool, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "evil.pth"
    content = {"state_dict": {"bbox_head.x": torch.zeros(1)}, "meta": _Evil()}
    torch.save(content, path, _use_new_zipfile_serialization=not old, pickle_module=pickle)
    with pytest.raises(ModelFileError, match="print"):
        read_weights(path, template=open_template("face-detection-0207"))
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".xml"])
def test_a_pipe_keeps_nobody_waiting(suffix: str, tmp_path: Path) -> None:
    pipe = tmp_path / f"pipe{suffix}"
    os.mkfifo(pipe)
    with pytest.raises(ModelFileError, match="is a named pipe; expected a file"):
        read_weights(pipe, template=open_template("face-detection-0207"))


def test_what_unpacks_to_too_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = tmp_path / "bomb.pth"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(70 << 20))
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("was unpacked"))
    with pytest.raises(ModelFileError, match="unpack to 73,400,320, more than the limit"):
        read_weights(bomb, template=open_template("face-detection-0207"))


def test_training_goes_on_at_its_epoch(
    snapshot: Callable[..., tuple[TemplateFile, Path]], caplog: pytest.LogCaptureFixture
) -> None:
    template, path = snapshot(epoch=70)
    start = find_start(template, None, path, epochs=71, base_learning_rate=None)
    assert (start.epoch, start.epochs, start.fine_tunes) == (70, 71, True)
    assert "an optimizer state of MMDetection, which is not used" in caplog.text


def test_eval_opens_it_with_its_template(
    snapshot: Callable[..., tuple[TemplateFile, Path]],
) -> None:
    template, path = snapshot()
    model = open_model(template.path, path, threads=1)
    expected = build_network(read_weights(path, template=template))
    images = torch.rand(1, 3, SIDE, SIDE) * 255
    with torch.no_grad():
        scores = expected(images)[1]
    torch.testing.assert_close(
        torch.from_numpy(model.session.run(images.numpy())["scores"]), scores
    )
    again = pickle.loads(pickle.dumps(model))
    assert again.path == path


def test_int8_files_and_nameless_ones_are_refused(tmp_path: Path) -> None:
    ov = pytest.importorskip("openvino")
    template = small_template("0207", tmp_path)
    image = ov.opset13.parameter([1, 3, SIDE, SIDE], name="image")
    path = tmp_path / "other.xml"
    shifted = ov.opset13.add(image, ov.opset13.constant([0.5], dtype="float32"))
    ov.save_model(ov.Model([shifted], [image], "other"), path)
    with pytest.raises(ModelFileError, match="do not say which weights are in them"):
        read_weights(path, template=template)
