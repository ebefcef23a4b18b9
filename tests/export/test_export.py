"""The tiny network of `tiny_template.yaml`, and what becomes of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import pocketface
from pocketface import export
from pocketface.errors import MissingPackageError, PocketfaceError, UserError
from pocketface.export import ExportReport, export_model, parity
from pocketface.export.parity import probe_images
from pocketface.model_templates.schema import parse_template
from pocketface.models.network import Detector
from pocketface.models.weights import build_network, read_weights, write_weights

TEMPLATE = (Path(__file__).parents[1] / "tiny_template.yaml").read_text()
# The same network with the other heads, scores and input rules that templates have.
SSD = """\
  head:
    type: ssd
    anchors:
      - {stride: 8, widths: [8, 12.5], heights: [10, 20]}
      - {stride: 16, widths: [30], heights: [40]}
      - {stride: 32, widths: [60, 70, 80], heights: [60, 90, 80]}
"""
SSD = TEMPLATE[: TEMPLATE.index("  head:")] + SSD + TEMPLATE[TEMPLATE.index("inference:") :]
FCOS = (
    TEMPLATE.replace("norm: batch", "norm: group")
    .replace("shared: false", "shared: true\n    centerness: true")
    .replace("    landmarks: true\n", "")
    .replace("resize: letterbox, multiple_of: 32", "resize: stretch")
)


def make_weights(folder: Path, text: str = TEMPLATE, *, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    network = Detector(parse_template(text, source="test").architecture)
    # Far from the small numbers of initialisation, as trained networks are.
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
    for name, parameter in network.head.named_parameters():
        if name.endswith("weight") and parameter.dim() == 4:
            torch.nn.init.normal_(parameter, std=0.1)
        elif name.endswith("classes.bias"):
            torch.nn.init.zeros_(parameter)
    path = folder / "weights.safetensors"
    write_weights(
        path,
        template_text=text,
        state_dict=network.state_dict(),
        epochs=3,
        data="nothing",
        seed=seed,
    )
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def exported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ExportReport]:
    """Both formats, by precision."""
    return {
        precision: export_model(
            weights=weights,
            template=None,
            folder=tmp_path_factory.mktemp(precision),
            precision=precision,
        )
        for precision in ("fp32", "fp16")
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_files_answer_as_the_network(
    weights: Path, exported: dict[str, ExportReport], precision: str
) -> None:
    assert_parity(exported[precision], weights, precision)


@pytest.mark.parametrize(
    ("text", "precision"), [(SSD, "fp32"), (FCOS, "fp16")], ids=["ssd", "fcos"]
)
def test_so_do_other_heads(tmp_path: Path, text: str, precision: str) -> None:
    weights = make_weights(tmp_path, text)
    folder = tmp_path / "export"
    report = export_model(weights=weights, template=None, folder=folder, precision=precision)
    assert_parity(report, weights, precision)


def assert_parity(report: ExportReport, weights: Path, precision: str) -> None:
    folder = report.files[0].parent
    assert sorted(p.name for p in folder.iterdir()) == ["model.bin", "model.onnx", "model.xml"]
    assert sorted(report.files) == sorted(folder.iterdir())
    assert [(p.file.name, p.runtime) for p in report.parity] == [
        ("model.xml", "openvino"),
        ("model.onnx", "onnxruntime"),
    ]
    # Not by way of `verify`: another picture, alone and in a batch, against the loaded weights.
    reference = pocketface.load(weights)
    images = np.random.default_rng(5).uniform(0, 255, (3, 3, 64, 96)).astype(np.float32)
    expected = reference.raw(images)
    assert np.ptp(expected["scores"]) > 0.05
    pixels, score = (1e-3, 1e-6) if precision == "fp32" else (0.5, 5e-3)
    for file, runtime in (("model.xml", None), ("model.onnx", None), ("model.onnx", "openvino")):
        model = pocketface.load(folder / file, runtime=runtime)
        assert model.contract == report.contract
        for batch, answers in ((images, expected), (images[1:2], None)):
            found = model.raw(batch)
            assert found.keys() == expected.keys()
            for name, array in found.items():
                wanted = expected[name][1:2] if answers is None else answers[name]
                assert array.dtype == np.float32
                limit = score if name == "scores" else pixels
                np.testing.assert_allclose(array, wanted, atol=limit, rtol=0)


def test_what_the_contract_says(weights: Path, exported: dict[str, ExportReport]) -> None:
    read = read_weights(weights)
    contract = exported["fp32"].contract
    assert exported["fp16"].contract.precision == "fp16"
    assert contract.provenance.checkpoint_sha256 == read.sha256
    assert (contract.provenance.data, contract.provenance.seed) == ("nothing", 0)
    assert contract.provenance.package_version == pocketface.__version__
    assert contract.precision == "fp32"
    assert contract.score_threshold == 0.3
    assert [output.name for output in contract.outputs] == ["boxes", "scores", "landmarks"]


def test_fp16_files_are_half_as_large(exported: dict[str, ExportReport]) -> None:
    sizes = {}
    for precision, report in exported.items():
        folder = report.files[0].parent
        sizes[precision] = (folder / "model.bin").stat().st_size
        model = onnx.load(folder / "model.onnx")
        kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
        kinds |= {n.output[0]: kinds[n.input[0]] for n in model.graph.node if n.op_type == "Cast"}
        kernels = {kinds[n.input[1]] for n in model.graph.node if n.op_type == "Conv"}
        half = onnx.TensorProto.FLOAT16 if precision == "fp16" else onnx.TensorProto.FLOAT
        assert kernels == {half}
    assert sizes["fp16"] < 0.55 * sizes["fp32"]


def test_the_graph_is_plain(exported: dict[str, ExportReport]) -> None:
    model = onnx.load(exported["fp32"].files[0].parent / "model.onnx")
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"If", "Loop", "BatchNormalization", "Range", "Identity", "Constant"}
    assert [opset.version for opset in model.opset_import if opset.domain == ""] == [18]
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "image": ["batch", 3, 64, 96],
        "boxes": ["batch", 126, 4],
        "scores": ["batch", 126],
        "landmarks": ["batch", 126, 5, 2],
    }


def test_export_is_reproducible(
    weights: Path, exported: dict[str, ExportReport], tmp_path: Path
) -> None:
    # FP16, because there OpenVINO adds nodes of its own.
    export_model(weights=weights, template=None, folder=tmp_path, precision="fp16", verify=False)
    for file in exported["fp16"].files:
        assert file.read_bytes() == (tmp_path / file.name).read_bytes()


def test_another_input_size(weights: Path, tmp_path: Path) -> None:
    report = export_model(weights=weights, template=None, folder=tmp_path, input_size=(96, 32))
    assert report.contract.input.shape == (-1, 3, 96, 32)
    for file in ("model.xml", "model.onnx"):
        model = pocketface.load(tmp_path / file)
        assert model.raw(probe_images(96, 32))["scores"].shape == (2, 12 * 4 + 6 * 2 + 3)
    with pytest.raises(UserError, match="--input-size 100x100"):
        export_model(weights=weights, template=None, folder=tmp_path, input_size=(100, 100))


def test_a_template_says_what_weights_do_not(weights: Path, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE.replace("score_threshold: 0.3", "score_threshold: 0.7"))
    report = export_model(
        weights=weights, template=template, folder=tmp_path, formats=["onnx"], verify=False
    )
    assert report.contract.score_threshold == 0.7
    template.write_text(FCOS)
    with pytest.raises(UserError, match="made for the architecture of tiny, which differs"):
        export_model(weights=weights, template=template, folder=tmp_path)


def test_shipped_weights_are_the_default(weights: Path, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE)
    with pytest.raises(UserError, match="ships no weights") as caught:
        export_model(weights=None, template=template, folder=tmp_path / "out")
    assert "--load-weights" in str(caught.value.hint)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="nothing to export"):
        export_model(weights=None, template=None, folder=tmp_path / "out")
    read = read_weights(weights)
    shipped = tmp_path / weights.name
    shipped.write_bytes(weights.read_bytes())
    spec = f"{{file: {shipped.name}, sha256: '{read.sha256}', size: {shipped.stat().st_size}}}"
    metric = "{key: ap, display_name: AP, value: 0.5, unit: '%'}"
    template.write_text(
        TEMPLATE.replace("weights: null", f"weights: {spec}").replace(
            "metrics: []", f"metrics: [{metric}]"
        )
    )
    report = export_model(
        weights=None, template=template, folder=tmp_path / "out", formats=["onnx"], verify=False
    )
    assert report.contract.provenance.checkpoint_sha256 == read.sha256
    assert [metric.value for metric in report.contract.metrics] == [0.5]


@pytest.fixture
def written_before(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files must survive the test."""
    for name in ("model.xml", "model.bin", "model.onnx"):
        (tmp_path / name).write_text(f"old {name}")
    yield tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.bin",
        "model.onnx",
        "model.xml",
    ]
    for path in tmp_path.iterdir():
        assert path.read_text() == f"old {path.name}"


def test_a_failure_leaves_what_was_there(
    weights: Path, written_before: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> list[Path]:
        raise RuntimeError("disk on fire")

    monkeypatch.setitem(export.EXPORTERS, "onnx", fail)
    with pytest.raises(RuntimeError, match="disk on fire"):
        export_model(weights=weights, template=None, folder=written_before)


def test_a_file_that_differs_does_not_stay(
    weights: Path, written_before: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The exporter is given another network than the one that is compared."""
    other = make_weights(tmp_path_factory.mktemp("other"), seed=1)
    true = export.EXPORTERS["onnx"]

    def wrong(_: object, contract: object, **options: object) -> list[Path]:
        return true(build_network(read_weights(other)), contract, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(export.EXPORTERS, "onnx", wrong)
        with pytest.raises(PocketfaceError, match=r"model\.onnx: onnxruntime and PyTorch differ"):
            export_model(weights=weights, template=None, folder=written_before, formats=["onnx"])


@pytest.mark.parametrize(
    ("outputs", "fails"),
    [
        ({}, False),
        ({"boxes": 0.4}, False),
        ({"boxes": 0.6}, True),
        ({"landmarks": 0.6}, True),
        ({"scores": 2e-4}, True),
        ({"scores": float("nan")}, True),
    ],
)
def test_the_limits_of_parity(
    weights: Path,
    exported: dict[str, ExportReport],
    monkeypatch: pytest.MonkeyPatch,
    outputs: dict[str, float],
    fails: bool,
) -> None:
    report = exported["fp32"]
    network = build_network(read_weights(weights))
    model = pocketface.load(report.files[0].parent / "model.onnx")
    run = model.session.run

    def shifted(batch: np.ndarray) -> dict[str, np.ndarray]:
        found = run(batch)
        for name, by in outputs.items():
            found[name].reshape(-1)[7] += by
        return found

    object.__setattr__(model.session, "run", shifted)
    monkeypatch.setattr(parity, "load", lambda _: model)
    check = (network, report.contract, model.path)
    if fails:
        with pytest.raises(PocketfaceError, match="differ"):
            parity.verify(*check, precision="fp32")
    else:
        found = parity.verify(*check, precision="fp32")
        assert found.box_px == pytest.approx(outputs.get("boxes", 0), abs=1e-3)
        assert found.score < 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"formats": ["coreml"]}, "format 'coreml': expected some of openvino, onnx"),
        ({"formats": []}, "no format"),
        ({"precision": "int4"}, "precision 'int4': expected one of fp32, fp16"),
    ],
)
def test_arguments(weights: Path, tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        export_model(weights=weights, template=None, folder=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*: cannot be written"):
        export_model(weights=weights, template=None, folder=tmp_path / "file")


@pytest.mark.parametrize(
    ("package", "formats", "extra"),
    [
        ("torch", ["onnx"], "train"),
        ("onnx", ["onnx"], "onnx"),
        ("onnxscript", ["onnx"], "onnx"),
        ("openvino", ["openvino"], "openvino"),
    ],
)
def test_a_missing_package_names_its_extra(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    formats: list[str],
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=rf"{package!r}.*pocketface\[{extra}\]"):
        export_model(weights=weights, template=None, folder=tmp_path / "out", formats=formats)
