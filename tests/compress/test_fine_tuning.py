"""Quantization-aware, sparse, and narrower: what becomes of the weights."""

from __future__ import annotations

import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import pocketface
from pocketface.compress import channels
from pocketface.compress.channels import pruned
from pocketface.compress.fine_tuning import rounding
from pocketface.compress.run import compress, pruning_for, sparsity_for
from pocketface.compress.sparsity import share_of_zeros
from pocketface.compress.stage import Stage, Training
from pocketface.errors import ModelFileError, UserError
from pocketface.export import export_model
from pocketface.model_templates import read_template, template_path
from pocketface.model_templates.schema import parse_template
from pocketface.models.network import make_network
from pocketface.models.nncf_hooks import HOOKS, hooks_of, is_quantized
from pocketface.models.weights import (
    Weights,
    build_network,
    read_weights,
    rewritten,
    shipped_weights,
    write_weights,
)

_SPARSITY = "nncf_sparsity: {epochs: 2, base_learning_rate: 1e-4, ratio: 0.7, mode: regularization}"

needs_nncf = pytest.mark.skipif(find_spec("nncf") is None, reason="needs nncf")

Lists = tuple[list[Path], list[Path]]


def shipped(name: str) -> Path:
    weights = shipped_weights(template_path(name))
    assert weights is not None
    return weights


def run(
    lists: Lists, folder: Path, *, epochs: int = 1, resume: bool = False, **options: Any
) -> Any:
    settings: dict[str, Any] = {
        "weights": shipped("glasses-n"),
        "template": None,
        "train": lists,
        "validation": lists,
        "folder": folder,
        "formats": ["openvino"],
        "photos": 8,
        "goal": "size",
        "max_drop": 50,
        "training": Training(
            annotations=lists,
            folder=folder,
            epochs=epochs,
            batch_size=10,
            gpu_num=0,
            workers=0,
            resume=resume,
        ),
    }
    return compress(**(settings | options))


@pytest.fixture(scope="module")
def quantized(lists: Lists, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quantized")
    report = run(lists, folder, quantization=True, formats=["openvino", "onnx"])
    assert report.failed == []
    assert report.method.startswith("trained 1 epochs with the rounding of int8 by nncf")
    return folder


def faces() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (4, 3, 80, 80)).astype(np.float32)


def answers(path: Path) -> np.ndarray:
    return np.concatenate(
        [pocketface.load(path).raw(one[None])["probabilities"] for one in faces()]
    )


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
            with_rounding, without = (one(torch.from_numpy(faces()))[0] for one in (network, plain))
        assert 1e-4 < (with_rounding - without).abs().max() < 0.1
        np.testing.assert_allclose(answers(path), with_rounding.numpy(), atol=1e-5)


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
    network = make_network(read_template(name).architecture).eval()
    batches = [
        np.random.default_rng(seed).uniform(0, 255, (1, 3, size, size)).astype(np.float32)
        for seed in range(4)  # too few to adapt batch normalisation
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
    before = read_weights(shipped("glasses-n")).state_dict
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
    report = export_model(
        weights=checkpoint, template=None, folder=tmp_path, formats=["openvino"], verify=False
    )
    assert [path.name for path in report.files] == ["model_int8.xml"]
    content = [(folder / "model_int8.bin").read_bytes() for folder in (tmp_path, quantized)]
    assert content[0] == content[1]


@needs_nncf
def test_an_exported_checkpoint_is_verified(quantized: Path, tmp_path: Path) -> None:
    report = export_model(
        weights=quantized / "quantized.safetensors",
        template=None,
        folder=tmp_path,
        formats=["openvino"],
    )
    assert [row.status for row in report.rows] == ["passed"], report.rows


@needs_nncf
def test_formats_that_cannot_hold_it(quantized: Path, lists: Lists, tmp_path: Path) -> None:
    checkpoint = quantized / "quantized.safetensors"
    with pytest.raises(UserError, match=r"quantized during training: format onnx cannot hold"):
        export_model(weights=checkpoint, template=None, folder=tmp_path, formats=["onnx"])
    with pytest.raises(UserError, match=r"is compressed already; expected float weights"):
        run(lists, tmp_path, weights=checkpoint, post_training=True)
    assert not list(tmp_path.iterdir())


@needs_nncf
def test_it_goes_on_where_it_was_interrupted(quantized: Path, lists: Lists, tmp_path: Path) -> None:
    folder = tmp_path / "quantization"
    folder.mkdir()
    for name in ("latest.pth", "begun.json"):
        (folder / name).write_bytes((quantized / "quantization" / name).read_bytes())
    report = run(lists, tmp_path, quantization=True, epochs=2, resume=True)
    assert report.method.startswith("trained 2 epochs")
    assert read_weights(folder / "latest.pth").epochs == 2
    stamp = (folder / "latest.pth").stat().st_mtime_ns
    run(lists, tmp_path, quantization=True, epochs=2, resume=True)
    assert (folder / "latest.pth").stat().st_mtime_ns == stamp
    with pytest.raises(UserError, match=r"latest\.pth: is there already"):
        run(lists, tmp_path, quantization=True)
    other = tmp_path / "other.safetensors"
    weights = read_weights(shipped("glasses-n"))
    state = dict(weights.state_dict)
    state["backbone.stem.0.weight"] = state["backbone.stem.0.weight"] * 1.01
    rewritten(other, weights, state)
    with pytest.raises(UserError, match=r"was begun with weights \w+; found"):
        run(lists, tmp_path, weights=other, quantization=True, epochs=2, resume=True)


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
    weights = read_weights(shipped("glasses-n"))
    path = tmp_path / "weights.safetensors"
    rewritten(path, weights, weights.state_dict, hooks={"compression_state": ["abc"]})
    content = path.read_bytes()
    assert content.count(b"abc") == 1
    path.write_bytes(content.replace(b"abc", b"abd"))
    with pytest.raises(ModelFileError, match="damaged"):
        read_weights(path)


@needs_nncf
def test_sparsity_by_magnitude_survives_quantization(lists: Lists, tmp_path: Path) -> None:
    spec = sparsity_for(shipped("glasses-n"), None, ratio=0.6, mode=None)
    report = run(lists, tmp_path, sparsity=spec, quantization=True, epochs=3)
    assert report.sparsity == pytest.approx(0.6, abs=1e-3)
    sparse, both = (
        read_weights(tmp_path / f"{name}.safetensors") for name in ("sparse", "quantized")
    )
    assert sparse.hooks is None
    assert share_of_zeros(sparse.state_dict) == pytest.approx(0.6, abs=1e-3)
    name = "backbone.stages.1.0.0.weight"
    zeros = sparse.state_dict[name] == 0
    assert 0.3 < zeros.float().mean() < 0.9
    assert (both.state_dict[name][zeros] == 0).all()
    assert (both.state_dict[name] != sparse.state_dict[name])[~zeros].any()


@needs_nncf
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_sparsity_by_trained_masks(lists: Lists, tmp_path: Path, optimizer: str) -> None:
    text = template_path("glasses-n").read_text()
    template = tmp_path / "template.yaml"
    template.write_text(text.replace("type: adamw", f"type: {optimizer}"))
    spec = sparsity_for(shipped("glasses-n"), template, ratio=0.5, mode="regularization")
    report = run(lists, tmp_path, template=template, sparsity=spec, epochs=6)
    assert report.sparsity == pytest.approx(0.5, abs=0.3)
    (row,) = report.rows
    assert row.after is not None
    assert row.after.file == "model_sparse.xml"
    assert row.after.precision == "fp32"
    assert row.after.zipped < 0.8 * row.before.zipped
    assert row.after.bytes > 0.95 * row.before.bytes


def _with_idle_channels(weights: Weights, path: Path) -> Weights:
    """A third of the channels of every group give nothing, and nobody reads them."""
    groups = channels._groups(weights.template.architecture, name="test")
    random = torch.Generator().manual_seed(0)
    idle: dict[str, torch.Tensor] = {}
    state = {name: value.clone() for name, value in weights.state_dict.items()}
    for module, (gives, takes) in groups.items():
        for group, axis in ((gives, 0), (takes, 1)):
            weight = state.get(f"{module}.weight")
            if group is None or weight is None or weight.ndim <= axis:
                continue
            width = weight.shape[axis]
            count = width - max(4, round(width * 0.75 / 4) * 4)
            if group not in idle:
                idle[group] = torch.randperm(width, generator=random)[:count]
            weight.index_fill_(axis, idle[group], 0.0)
            if axis == 0 and f"{module}.bias" in state:
                state[f"{module}.bias"].index_fill_(0, idle[group], 0.0)
    return rewritten(path, weights, state)


def _separable(folder: Path) -> Path:
    """Random weights of face-detection-n with separable convolutions, that let signals through."""
    content = yaml.safe_load(template_path("face-detection-n").read_text(encoding="utf-8"))
    content["initial_weights"] = None
    for part in ("backbone", "neck", "head"):
        content["architecture"][part]["separable"] = True
    text = yaml.safe_dump(content)
    torch.manual_seed(0)
    network = make_network(parse_template(text, source="test").architecture).train()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the mean over all batches
    with torch.no_grad():
        for name in ("classes", "boxes", "landmarks"):
            for level in network.head.levels:
                getattr(level, name).weight.normal_(std=0.3)
        network(torch.rand(4, 3, 128, 128) * 255)
    file = folder / "separable.safetensors"
    write_weights(file, template_text=text, state_dict=network.state_dict(), epochs=0)
    return file


@pytest.mark.parametrize(
    ("name", "size"),
    [("glasses-n", 80), ("glasses-cnn", 82), ("face-detection-n", 128), ("separable", 128)],
)
def test_channels_that_do_nothing_go_first(name: str, size: int, tmp_path: Path) -> None:
    file = _separable(tmp_path) if name == "separable" else shipped(name)
    wide = _with_idle_channels(read_weights(file), tmp_path / "wide.safetensors")
    narrow = pruned(wide, 0.25, tmp_path / "narrow.safetensors")
    counts = [sum(one.numel() for one in w.state_dict.values()) for w in (wide, narrow)]
    assert counts[1] < 0.65 * counts[0]
    assert narrow.template.architecture != wide.template.architecture
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1)) * 255
    with torch.no_grad():
        outputs = [build_network(weights)(image) for weights in (wide, narrow)]
    for expected, found in zip(*outputs, strict=True):
        assert expected.std() > 2e-3  # far above the tolerance
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_narrowed(tmp_path: Path) -> None:
    path = template_path("face-detection-0200")
    text = path.read_text()
    network = make_network(parse_template(text, source="test").architecture)
    file = tmp_path / "weights.safetensors"
    write_weights(file, template_text=text, state_dict=network.state_dict(), epochs=0)
    with pytest.raises(UserError, match="backbone is mobilenet_v2; expected plain or valid"):
        pruned(read_weights(file), 0.25, tmp_path / "narrow.safetensors")
    with pytest.raises(UserError, match=r"pruning 0.01 of the channels of glasses-n leaves all"):
        pruned(read_weights(shipped("glasses-n")), 0.01, tmp_path / "narrow.safetensors")
    assert not (tmp_path / "narrow.safetensors").exists()


def test_pruning_makes_smaller_files(lists: Lists, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    spec = pruning_for(shipped("glasses-n"), None, ratio=0.5)
    report = run(lists, tmp_path, pruning=spec)
    (row,) = report.rows
    assert row.after is not None
    assert row.after.file == "model_pruned.xml"
    assert row.after.bytes < 0.4 * row.before.bytes
    model = pocketface.load(tmp_path / "model_pruned.xml")
    assert "50 % of the channels went" in model.contract.compression.method
    again = tmp_path / "again"
    pruned_weights = tmp_path / "pruned.safetensors"
    assert not export_model(
        weights=pruned_weights, template=None, folder=again, formats=["openvino"]
    ).failed


@needs_nncf
def test_the_recipe_is_that_of_the_users_template(lists: Lists, tmp_path: Path) -> None:
    text = template_path("glasses-n").read_text().replace("nncf_sparsity: null", _SPARSITY)
    path = tmp_path / "template.yaml"
    path.write_text(text)
    weights = shipped("glasses-n")
    assert sparsity_for(weights, path, ratio=None, mode=None).ratio == 0.7
    assert sparsity_for(weights, path, ratio=0.2, mode="magnitude").ratio == 0.2
    training = Training(
        annotations=lists, folder=tmp_path / "out", batch_size=10, gpu_num=0, workers=0
    )
    spec = sparsity_for(weights, path, ratio=None, mode="magnitude")
    report = run(lists, tmp_path / "out", template=path, sparsity=spec, training=training)
    assert report.method.startswith("trained 2 epochs while 70.0 %")
    assert "regularization" in read_weights(tmp_path / "out/sparse.safetensors").template_text


@needs_nncf
def test_a_checkpoint_with_masks_is_exported_as_float(lists: Lists, tmp_path: Path) -> None:
    spec = sparsity_for(shipped("glasses-n"), None, ratio=0.6, mode=None)
    run(lists, tmp_path, sparsity=spec, epochs=2)
    checkpoint = tmp_path / "sparsity" / "latest.pth"
    assert read_weights(checkpoint).hooks is not None
    report = export_model(
        weights=checkpoint, template=None, folder=tmp_path / "out", formats=["openvino"]
    )
    assert [(row.precision, row.status) for row in report.rows] == [("fp32", "passed")]
    np.testing.assert_allclose(
        answers(tmp_path / "out/model.xml"), answers(tmp_path / "sparse.safetensors"), atol=1e-5
    )


@needs_nncf
def test_shares_and_epochs_that_make_no_sense(lists: Lists, tmp_path: Path) -> None:
    weights = shipped("glasses-n")
    with pytest.raises(UserError, match=r"sparsity ratio 0.05: expected more than initial_ratio"):
        sparsity_for(weights, None, ratio=0.05, mode=None)
    spec = sparsity_for(weights, None, ratio=0.5, mode=None)
    with pytest.raises(UserError, match="expected 2 epochs or more, found 1"):
        run(lists, tmp_path, pruning=pruning_for(weights, None, ratio=0.5), sparsity=spec, epochs=1)
    assert not list(tmp_path.iterdir())  # nor was anything pruned before


def test_nothing_is_overwritten(lists: Lists, tmp_path: Path) -> None:
    spec = pruning_for(shipped("glasses-n"), None, ratio=0.5)
    run(lists, tmp_path, pruning=spec)
    path = tmp_path / "pruned.safetensors"
    content = path.read_bytes()
    with pytest.raises(UserError, match="is there already"):
        run(lists, tmp_path, pruning=spec)
    other = pruning_for(shipped("glasses-n"), None, ratio=0.25)
    with pytest.raises(UserError, match=r"was begun with ratio 0.5; found 0.25"):
        run(lists, tmp_path, pruning=other, resume=True)
    with pytest.raises(UserError, match="would be overwritten"):
        run(lists, tmp_path, weights=path, pruning=spec)
    assert path.read_bytes() == content
    (tmp_path / "pruning" / "start.safetensors").unlink()
    run(lists, tmp_path, pruning=spec, resume=True)  # it has ended: no channels are chosen again
    assert not (tmp_path / "pruning" / "start.safetensors").exists()


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
    options: dict[str, Any], message: str, lists: Lists, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        run(lists, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_several_processes(lists: Lists, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="expected no torchrun"):
        run(lists, tmp_path, post_training=True)


def test_a_teacher_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lists: Lists
) -> None:
    """It may be a file that is nobody's any more."""

    class SeenError(Exception):
        pass

    def see(*, template: Path, **_: Any) -> None:
        raise SeenError(template.read_text(encoding="utf-8"))

    read = read_weights(shipped("face-detection-n"))
    content = yaml.safe_load(read.template_text)
    content["hyper_parameters"]["distillation"] = {"teacher": "gone.pth"}
    weights = rewritten(
        tmp_path / "taught.pth", read, read.state_dict, template_text=yaml.safe_dump(content)
    )
    monkeypatch.setattr("pocketface.compress.stage.fit", see)
    recipe = weights.template.optimisations.nncf_quantization
    assert recipe is not None
    stage = Stage(Training(annotations=lists, folder=tmp_path), "quantization", weights, recipe)
    with pytest.raises(SeenError) as seen:
        stage.train(weights)
    template = parse_template(str(seen.value), source="t.yaml")
    assert template.hyper_parameters.distillation is None
    assert template.architecture == weights.template.architecture
