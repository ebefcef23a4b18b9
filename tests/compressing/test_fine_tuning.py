"""Networks trained with the rounding of int8."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import pocketface
from pocketface.compressing.fine_tuning import rounding
from pocketface.compressing.stage import Stage, Training
from pocketface.errors import ModelFileError, UserError
from pocketface.exporting import ExportRequest, export_model
from pocketface.models.network import make_network
from pocketface.models.nncf_hooks import HOOKS, hooks_of, is_quantized, load_extension
from pocketface.models.weights import build_network, read_weights, rewritten
from pocketface.tasks.measuring import Labels
from pocketface.tasks.templates import open_template, parse_template
from pocketface.training.request import FitRequest

from .conftest import answers, export, fine_tuning, needs_nncf, noisy_faces, post_training, shipped


@pytest.fixture(scope="module")
def quantized(lists: Labels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quantized")
    report = fine_tuning(lists, folder, quantization=True, formats=["openvino", "onnx"])
    assert report.failed == []
    assert report.method.startswith("trained 1 epochs with the rounding of int8 by nncf")
    return folder


@needs_nncf
def test_a_quantized_checkpoint_answers_in_steps(quantized: Path) -> None:
    for path in (quantized / "quantized.safetensors", quantized / "quantization" / "latest.pth"):
        weights = read_weights(path)
        assert weights.hooks is not None
        kinds = {one["module_cls_name"] for one in weights.hooks["compression_state"]}
        assert kinds == {"SymmetricQuantizer", "AsymmetricQuantizer"}
        network = build_network(weights)
        plain = make_network(weights.template.architecture).eval()
        plain.load_state_dict(
            {name: value for name, value in weights.state_dict.items() if HOOKS not in name}
        )
        with torch.no_grad():
            with_rounding, without = (
                one(torch.from_numpy(noisy_faces()))[0] for one in (network, plain)
            )
        assert 1e-4 < (with_rounding - without).abs().max() < 0.1
        np.testing.assert_allclose(answers(path), with_rounding.numpy(), atol=1e-5)


@needs_nncf
def test_a_killed_compilation_keeps_nobody_waiting(tmp_path: Path) -> None:
    """The file that marks it is still there; NNCF would wait for 600 seconds."""
    load_extension()
    folder = Path(os.environ["TORCH_EXTENSIONS_DIR"])
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)  # times too: nothing is compiled anew
    (library,) = tmp_path.rglob("quantized_functions_cpu.so")
    library.with_name("lock").touch()
    code = "from pocketface.models.nncf_hooks import load_extension; load_extension()"
    subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TORCH_EXTENSIONS_DIR": str(tmp_path)},
        check=True,
        timeout=300,
    )


@needs_nncf
@pytest.mark.parametrize(
    ("name", "size"),
    [
        *((f"face-detection-{name}", 64) for name in ("0200", "0205", "0206", "0207", "m")),
        ("glasses-cnn", 82),
    ],
)
def test_every_network_can_be_quantized(name: str, size: int) -> None:
    """The rounding moves its answers, a little; before boxes are decoded, not after."""
    torch.manual_seed(0)
    architecture = open_template(name).spec.architecture
    if architecture.backbone.type == "resnet":  # the deeper ones are the same, only slower
        backbone = architecture.backbone.model_copy(update={"depth": 50})
        architecture = architecture.model_copy(update={"backbone": backbone})
    network = make_network(architecture).eval()
    batches = [
        np.random.default_rng(seed).uniform(0, 255, (1, 3, size, size)).astype(np.float32)
        for seed in range(2)  # too few to adapt batch normalisation
    ]
    example = torch.from_numpy(batches[0])
    with torch.no_grad():
        before = flat(network(example, raw=True))
        hooked = rounding(copy.deepcopy(network), batches)
        after = flat(hooked(example, raw=True))
        decoded = flat(hooked(example))
    assert is_quantized(hooks_of(hooked))
    change = (after - before).abs().mean() / before.abs().mean()
    assert 0 < change < 0.5
    assert decoded.isfinite().all()


def flat(answer: Any) -> torch.Tensor:
    """All numbers of an answer."""
    if isinstance(answer, torch.Tensor):
        return answer.flatten()
    if not isinstance(answer, tuple):
        answer = [one for one in vars(answer).values() if isinstance(one, torch.Tensor)]
    return torch.cat([one.flatten() for one in answer if one is not None])


@needs_nncf
def test_training_went_on(quantized: Path) -> None:
    before = shipped("glasses-n").state_dict
    after = read_weights(quantized / "quantized.safetensors").state_dict
    assert all((after[name] != value).any() for name, value in before.items() if value.ndim > 1)


@needs_nncf
def test_openvino_has_the_trained_ranges(quantized: Path, tmp_path: Path) -> None:
    checkpoint = quantized / "quantized.safetensors"
    expected = answers(checkpoint)
    assert np.abs(answers(quantized / "model_int8.xml") - expected).max() < 0.03
    contract = pocketface.load(quantized / "model_int8.xml").contract
    assert contract.precision == "int8"
    assert contract.provenance.checkpoint_sha256 == read_weights(checkpoint).sha256
    assert contract.compression is not None
    assert "trained 1 epochs" in contract.compression.method
    # The exporter writes the same numbers.
    path = export(read_weights(checkpoint), tmp_path, "openvino")
    assert path.name == "model_int8.xml"
    content = [(folder / "model_int8.bin").read_bytes() for folder in (tmp_path, quantized)]
    assert content[0] == content[1]


@needs_nncf
def test_an_exported_checkpoint_is_verified(quantized: Path, tmp_path: Path) -> None:
    weights = read_weights(quantized / "quantized.safetensors")
    report = export_model(ExportRequest(weights=weights, folder=tmp_path, formats=["openvino"]))
    assert [one.status for one in report.files] == ["passed"], report.files


@needs_nncf
def test_formats_that_cannot_hold_it(quantized: Path, lists: Labels, tmp_path: Path) -> None:
    weights = read_weights(quantized / "quantized.safetensors")
    with pytest.raises(UserError, match=r"quantized during training: format onnx cannot hold"):
        export(weights, tmp_path, "onnx")
    with pytest.raises(UserError, match=r"precision fp16: .* was quantized during training, and"):
        export(weights, tmp_path, "openvino", precisions=["fp16"])
    with pytest.raises(UserError, match=r"is compressed already; expected float weights"):
        fine_tuning(lists, tmp_path, weights=weights, post_training=True)
    assert not list(tmp_path.iterdir())


@needs_nncf
@pytest.mark.usefixtures("no_files")
def test_it_goes_on_where_it_was_interrupted(
    quantized: Path, lists: Labels, tmp_path: Path
) -> None:
    folder = tmp_path / "quantization"
    folder.mkdir()
    for name in ("latest.pth", "begun.json"):
        (folder / name).write_bytes((quantized / "quantization" / name).read_bytes())
    report = fine_tuning(lists, tmp_path, quantization=True, epochs=2, resume=True)
    assert report.method.startswith("trained 2 epochs")
    assert read_weights(folder / "latest.pth").epochs == 2
    stamp = (folder / "latest.pth").stat().st_mtime_ns
    fine_tuning(lists, tmp_path, quantization=True, epochs=2, resume=True)
    assert (folder / "latest.pth").stat().st_mtime_ns == stamp
    with pytest.raises(UserError, match=r"latest\.pth: is there already"):
        fine_tuning(lists, tmp_path, quantization=True)
    other = tmp_path / "other.safetensors"
    weights = shipped("glasses-n")
    state = dict(weights.state_dict)
    state["backbone.stem.0.weight"] = state["backbone.stem.0.weight"] * 1.01
    changed = rewritten(other, weights, state)
    with pytest.raises(UserError, match=r"was begun with weights \w+; found"):
        fine_tuning(lists, tmp_path, weights=changed, quantization=True, epochs=2, resume=True)
    fewer = tmp_path / "fewer.csv"
    fewer.write_text("".join(lists.files[0].read_text().splitlines(keepends=True)[:-1]))
    others = Labels([fewer], lists.roots)
    with pytest.raises(UserError, match=r"was begun with photos .*; found"):
        fine_tuning(others, tmp_path, quantization=True, epochs=2, resume=True)
    (folder / "begun.json").write_text("{")
    with pytest.raises(UserError, match=r"begun\.json: damaged: "):
        fine_tuning(lists, tmp_path, quantization=True, epochs=2, resume=True)


@needs_nncf
def test_hooks_that_are_not_nncfs(quantized: Path, tmp_path: Path) -> None:
    weights = read_weights(quantized / "quantized.safetensors")
    assert weights.hooks is not None
    (first, *_) = weights.hooks["compression_state"]
    evil = {"compression_state": [{**first, "module_path": "os", "module_cls_name": "system"}]}
    rewritten(tmp_path / "evil.safetensors", weights, weights.state_dict, hooks=evil)
    with pytest.raises(ModelFileError, match=r"evil.safetensors: hooks that NNCF .* untrusted"):
        build_network(read_weights(tmp_path / "evil.safetensors"))
    rewritten(tmp_path / "less.pth", weights, weights.state_dict, hooks={"compression_state": []})
    with pytest.raises(ModelFileError, match=r"less.pth: .*Unexpected key"):
        build_network(read_weights(tmp_path / "less.pth"))
    with pytest.raises(ModelFileError, match=r"unexpected tensor '__nncf"):
        rewritten(tmp_path / "none.pth", weights, weights.state_dict)


def test_the_digest_covers_the_hooks(tmp_path: Path) -> None:
    weights = shipped("glasses-n")
    path = tmp_path / "weights.safetensors"
    rewritten(
        path, weights, weights.state_dict, hooks={"compression_state": [{"module_cls_name": "abc"}]}
    )
    content = path.read_bytes()
    assert content.count(b"abc") == 1
    path.write_bytes(content.replace(b"abc", b"abd"))
    with pytest.raises(ModelFileError, match="damaged"):
        read_weights(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precisions": ["int8"]}, "nothing is quantized without"),
        (
            {"precisions": ["palette6"], "formats": ["openvino", "coreml"], "post_training": True},
            "format openvino: has no palette6; expected some of fp16, int8",
        ),
    ],
)
def test_precisions_that_nothing_makes(
    options: dict[str, Any], message: str, lists: Labels, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        fine_tuning(lists, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_several_processes(lists: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="found WORLD_SIZE 2 in the environment, as torchrun"):
        fine_tuning(lists, tmp_path, post_training=True)
    monkeypatch.setenv("WORLD_SIZE", "1")  # some launchers of jobs
    assert not post_training(lists, tmp_path).failed


def test_a_teacher_is_not_asked_again_and_no_part_is_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lists: Labels
) -> None:
    """It may be a file that is nobody's any more."""

    class SeenError(Exception):
        pass

    def see(request: FitRequest) -> None:
        raise SeenError(request.template.text)

    read = shipped("face-detection-n")
    content = yaml.safe_load(read.template_text)
    content["hyper_parameters"] |= {"distillation": {"teacher": "gone.pth"}, "frozen": ["backbone"]}
    weights = rewritten(
        tmp_path / "taught.pth", read, read.state_dict, template_text=yaml.safe_dump(content)
    )
    monkeypatch.setattr("pocketface.compressing.stage.fit", see)
    recipe = weights.template.optimisations.nncf_quantization
    assert recipe is not None
    stage = Stage(Training(labels=lists, folder=tmp_path), "quantization", weights, recipe)
    with pytest.raises(SeenError) as seen:
        stage.train(weights)
    template = parse_template(str(seen.value), source="t.yaml")
    assert template.hyper_parameters.distillation is None
    assert template.hyper_parameters.frozen == []
    assert template.architecture == weights.template.architecture
