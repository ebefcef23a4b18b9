"""Sparse and narrower networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import pocketface
from pocketface.compressing.channels import channel_groups, pruned
from pocketface.compressing.run import pruning_for, sparsity_for
from pocketface.compressing.sparsity import share_of_zeros
from pocketface.compressing.stage import Training
from pocketface.errors import UserError
from pocketface.exporting import ExportRequest, export_model
from pocketface.model_templates import template_path
from pocketface.models.layers import Group
from pocketface.models.network import Network, make_network
from pocketface.models.plain import Plain
from pocketface.models.weights import Weights, build_network, read_weights, rewritten, write_weights
from pocketface.tasks.measuring import Labels
from pocketface.tasks.templates import open_template, parse_template

from .conftest import answers, fine_tuning, needs_nncf, shipped

_SPARSITY = "nncf_sparsity: {epochs: 2, base_learning_rate: 1e-4, ratio: 0.7, mode: regularization}"


@needs_nncf
@pytest.mark.usefixtures("no_files")
def test_sparsity_by_magnitude_survives_quantization(lists: Labels, tmp_path: Path) -> None:
    spec = sparsity_for(shipped("glasses-n").template, ratio=0.6, mode=None)
    report = fine_tuning(lists, tmp_path, sparsity=spec, quantization=True, epochs=3)
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
def test_sparsity_by_trained_masks(lists: Labels, tmp_path: Path, optimizer: str) -> None:
    text = template_path("glasses-n").read_text()
    template = tmp_path / "template.yaml"
    template.write_text(text.replace("type: adamw", f"type: {optimizer}"))
    weights = shipped("glasses-n").described_by(open_template(template))
    spec = sparsity_for(weights.template, ratio=0.5, mode="regularization")
    report = fine_tuning(lists, tmp_path, weights=weights, sparsity=spec, epochs=6)
    assert report.sparsity == pytest.approx(0.5, abs=0.3)
    (row,) = report.rows
    assert row.after is not None
    assert row.after.file == "model_sparse.xml"
    assert row.after.precision == "fp32"
    assert row.after.zipped < 0.8 * row.before.zipped
    assert row.after.bytes > 0.95 * row.before.bytes


@needs_nncf
@pytest.mark.usefixtures("no_files")
def test_a_checkpoint_with_masks_is_exported_as_float(lists: Labels, tmp_path: Path) -> None:
    spec = sparsity_for(shipped("glasses-n").template, ratio=0.6, mode=None)
    fine_tuning(lists, tmp_path, sparsity=spec, epochs=2)
    checkpoint = tmp_path / "sparsity" / "latest.pth"
    assert read_weights(checkpoint).hooks is not None
    report = export_model(
        ExportRequest(
            weights=read_weights(checkpoint), folder=tmp_path / "out", formats=["openvino"]
        )
    )
    assert [(one.precision, one.status) for one in report.files] == [("fp32", "passed")]
    np.testing.assert_allclose(
        answers(tmp_path / "out/model.xml"), answers(tmp_path / "sparse.safetensors"), atol=1e-5
    )


@needs_nncf
@pytest.mark.usefixtures("no_files")
def test_the_recipe_is_that_of_the_users_template(lists: Labels, tmp_path: Path) -> None:
    text = template_path("glasses-n").read_text().replace("nncf_sparsity: null", _SPARSITY)
    path = tmp_path / "template.yaml"
    path.write_text(text)
    weights = shipped("glasses-n").described_by(open_template(path))
    assert sparsity_for(weights.template, ratio=None, mode=None).ratio == 0.7
    assert sparsity_for(weights.template, ratio=0.2, mode="magnitude").ratio == 0.2
    training = Training(labels=lists, folder=tmp_path / "out", batch_size=10, gpu_num=0, workers=0)
    spec = sparsity_for(weights.template, ratio=None, mode="magnitude")
    report = fine_tuning(lists, tmp_path / "out", weights=weights, sparsity=spec, training=training)
    assert report.method.startswith("trained 2 epochs while 70.0 %")
    assert "regularization" in read_weights(tmp_path / "out/sparse.safetensors").template_text


@needs_nncf
def test_shares_and_epochs_that_make_no_sense(lists: Labels, tmp_path: Path) -> None:
    weights = shipped("glasses-n")
    with pytest.raises(UserError, match=r"sparsity ratio 0.05: expected more than initial_ratio"):
        sparsity_for(weights.template, ratio=0.05, mode=None)
    spec = sparsity_for(weights.template, ratio=0.5, mode=None)
    with pytest.raises(UserError, match="expected 2 epochs or more, found 1"):
        fine_tuning(
            lists,
            tmp_path,
            pruning=pruning_for(weights.template, ratio=0.5),
            sparsity=spec,
            epochs=1,
        )
    assert not list(tmp_path.iterdir())  # nor was anything pruned before


def _with_idle_channels(weights: Weights, path: Path) -> Weights:
    """A third of the channels of every group give nothing, and nobody reads them."""
    groups = channel_groups(make_network(weights.template.architecture), weights.template)
    random = torch.Generator().manual_seed(0)
    idle: dict[Group, torch.Tensor] = {}
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


def _separable(folder: Path) -> Weights:
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
    return read_weights(file)


@pytest.mark.parametrize(
    ("name", "size"),
    [("glasses-n", 80), ("glasses-cnn", 82), ("face-detection-n", 128), ("separable", 128)],
)
def test_channels_that_do_nothing_go_first(name: str, size: int, tmp_path: Path) -> None:
    weights = _separable(tmp_path) if name == "separable" else shipped(name)
    wide = _with_idle_channels(weights, tmp_path / "wide.safetensors")
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
        pruned(shipped("glasses-n"), 0.01, tmp_path / "narrow.safetensors")
    assert not (tmp_path / "narrow.safetensors").exists()


@pytest.mark.parametrize(
    ("part", "change", "reason"),
    [
        ("neck", {"context": True}, "its neck has context; expected none"),
        (
            "head",
            {"shared": True},
            "expected a head of classes, or a dense one with towers of each level",
        ),
        (
            "head",
            {"norm": "none"},
            "expected a head of classes, or a dense one with towers of each level",
        ),
    ],
)
def test_parts_that_cannot_be_narrowed(part: str, change: dict[str, object], reason: str) -> None:
    content = yaml.safe_load(template_path("face-detection-n").read_text(encoding="utf-8"))
    content["architecture"][part] |= change
    template = parse_template(yaml.safe_dump(content), source="test")
    with pytest.raises(UserError) as caught:
        channel_groups(Network(template.architecture), template)
    assert str(caught.value) == f"pruning face-detection-n: {reason}"


def test_the_prunable_backbones_are_those_that_tell_their_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    template = parse_template(template_path("glasses-n").read_text(encoding="utf-8"), source="test")
    network = Network(template.architecture)
    monkeypatch.delattr(Plain, "mark_channels")
    with pytest.raises(UserError) as caught:
        channel_groups(network, template)
    assert str(caught.value) == "pruning glasses-n: its backbone is plain; expected valid"


def test_pruning_makes_smaller_files(lists: Labels, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    spec = pruning_for(shipped("glasses-n").template, ratio=0.5)
    report = fine_tuning(lists, tmp_path, pruning=spec)
    (row,) = report.rows
    assert row.after is not None
    assert row.after.file == "model_pruned.xml"
    assert row.after.bytes < 0.4 * row.before.bytes
    model = pocketface.load(tmp_path / "model_pruned.xml")
    assert "50 % of the channels went" in model.contract.compression.method
    again = ExportRequest(
        weights=read_weights(tmp_path / "pruned.safetensors"),
        folder=tmp_path / "again",
        formats=["openvino"],
    )
    assert not export_model(again).failed


@pytest.mark.usefixtures("no_files")
def test_nothing_is_overwritten(lists: Labels, tmp_path: Path) -> None:
    spec = pruning_for(shipped("glasses-n").template, ratio=0.5)
    fine_tuning(lists, tmp_path, pruning=spec)
    path = tmp_path / "pruned.safetensors"
    content = path.read_bytes()
    with pytest.raises(UserError, match="is there already"):
        fine_tuning(lists, tmp_path, pruning=spec)
    other = pruning_for(shipped("glasses-n").template, ratio=0.25)
    with pytest.raises(UserError, match=r"was begun with ratio 0.5; found 0.25"):
        fine_tuning(lists, tmp_path, pruning=other, resume=True)
    with pytest.raises(UserError, match="would be overwritten"):
        fine_tuning(lists, tmp_path, weights=read_weights(path), pruning=spec)
    assert path.read_bytes() == content
    (tmp_path / "pruning" / "start.safetensors").unlink()
    fine_tuning(
        lists, tmp_path, pruning=spec, resume=True
    )  # it has ended: no channels are chosen again
    assert not (tmp_path / "pruning" / "start.safetensors").exists()


@needs_nncf
@pytest.mark.usefixtures("no_files")
def test_trainings_in_a_row_are_gone_on_with(lists: Labels, tmp_path: Path) -> None:
    """The second begins with the file of the first, which is written again."""
    spec = pruning_for(shipped("glasses-n").template, ratio=0.5)
    fine_tuning(lists, tmp_path, pruning=spec, quantization=True)
    first = tmp_path / "pruned.safetensors"
    stamp = (tmp_path / "quantization" / "latest.pth").stat().st_mtime_ns
    content = first.read_bytes()
    fine_tuning(lists, tmp_path, pruning=spec, quantization=True, resume=True)
    assert first.read_bytes() == content
    assert (tmp_path / "quantization" / "latest.pth").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_no_channels_or_all(ratio: float) -> None:
    with pytest.raises(UserError, match=rf"pruning ratio {ratio:g}: expected more than 0 and less"):
        pruning_for(shipped("glasses-n").template, ratio=ratio)
